"""One stream under way: its decoder, its sinks, its slots, and the order of its frames."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import zmq

from icstream.pipeline.ledger import At, Lease
from icstream.pipeline.processes import Worker
from icstream.pipeline.slots import SlotPool
from icstream.pipeline.stream import Stream
from icstream.pipeline.wire import (
    BeginDecode,
    BeginEncode,
    Closed,
    Decoded,
    Ended,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    Message,
    Opened,
    Pixels,
    SinksOpened,
    Slot,
    Stop,
    WireError,
    WireFrame,
    Work,
    Written,
)
from icstream.stages import Gap

log = logging.getLogger(__name__)


class Send(Protocol):
    """Sends a message to a worker, and what travels behind it."""

    def __call__(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        """Gives nothing back: a worker that is gone is noticed elsewhere."""


@dataclass(frozen=True, slots=True)
class FlowContext:
    """What the streams of a run share."""

    window: int
    """Frames of a stream that may be in flight."""
    freshest: bool
    """Whether the oldest waiting frame is dropped when the next one finds no room."""
    slots: SlotPool
    send: Send
    enqueue: Callable[["Flow", Lease], None]
    """Lets a frame wait for a worker of its stage."""
    withdraw: Callable[["Flow", Lease], None]
    """Undoes that."""
    on_frame: Callable[[Stream, Lease], None]
    """Called with each frame that is durable in its files."""


class Flow:
    """Takes the frames of one stream from its decoder to its sinks.

    Attributes:
        stream: what is known of the stream.
        over: true once all is closed.
        ended: true once the decoder will send no more.
        reading: true once the decoder was told to begin.
    """

    def __init__(self, stream: Stream, context: FlowContext) -> None:
        """Starts the stream's workers."""
        self.stream = stream
        self.over = self.ended = self.reading = False
        self._context = context
        self._finishing = False
        self._cut_short = False
        self._free: list[Slot] | None = None
        """Slots that nobody has; None until they are made."""
        self._granted: dict[int, Slot] = {}
        """Slots that the decoder may fill."""
        stream.started = time.monotonic()
        self.workers = {kind: stream.start(kind) for kind in ("decode", "encode")}

    def take(self, worker: Worker, body: Any, payload: list[zmq.Frame]) -> None:
        """Takes a message from one of the stream's own workers."""
        stream = self.stream
        match body:
            case Opened():
                worker.ready = True
                stream.info = stream.info or body.info
                self._begin_reading()
            case SinksOpened():
                self._take_sinks_opened(worker, body)
            case Decoded():
                self._take_decoded(body, payload)
            case GapFound():
                stream.count_item(body.number, body.books)
                stream.note_gap(body.gap)
            case FormatChanged():
                stream.count_item(body.number, None)
                stream.ledger.begin_part()
            case Ended():
                stream.count_books(body.books)
                self.ended = True
                if body.error:
                    self._note_error(body.error)
            case Written():
                lease = stream.ledger.mark_written(body.index, body.part)
                if lease is not None:
                    lease.served["encode"] = body.served
                self._release(body.num_durable)
            case Closed():
                self._release(body.num_frames)
                stream.parts = body.parts
                self.end()

    def feed_encoder(self) -> None:
        """Sends the encode worker what is its turn, and has the files closed after the last."""
        encoder = self._ready("encode")
        if encoder is None or self._finishing:
            return
        while (lease := self.stream.ledger.next_to_write()) is not None:
            fields = ("scores", "picture") if self.stream.wants_picture else ("scores",)
            send_frame(self._context.send, encoder, lease, () if lease.done_before else fields)
        if self.ended and self.stream.ledger.all_at_writer():
            self._finishing = True
            self._context.send(encoder, Finish())

    def fail(self, lease: Lease, reason: str, detail: str) -> None:
        """Takes a frame out that a stage could not process."""
        stream, meta = self.stream, lease.meta
        log.warning("%s: frame %d failed: %s", stream.name, meta.index, detail)
        stream.books.failed[reason] += 1
        stream.books.in_flight -= 1
        stream.note_gap(Gap(stream.name, meta.index, meta.pts, reason))
        stream.ledger.fail(lease)
        self.release_slot(lease)

    def drop(self, lease: Lease, reason: str) -> None:
        """Takes a frame out on purpose."""
        self.stream.books.dropped[reason] += 1
        self.stream.books.in_flight -= 1
        lease.abandoned = lease.abandoned or lease.at is At.HELD
        self._context.withdraw(self, lease)
        self.stream.ledger.drop(lease)
        self.release_slot(lease)

    def release_slot(self, lease: Lease) -> None:
        """Lets the decoder send another frame, unless somebody may still be using the slot."""
        if lease.abandoned:
            return
        if self.over or self._free is None:
            self._context.slots.give_back([lease.slot])
            return
        self._free.append(self._context.slots.fitting(lease.slot, lease.meta.size))
        self._grant()

    def lose(self, worker: Worker) -> bool:
        """Takes note that one of its workers is gone; true if another is needed."""
        del self.workers[worker.kind]
        if worker.kind == "decode":
            if self._free is not None:
                self._free += self._granted.values()
            self._granted.clear()
            self.reading = False
            return not self.ended
        self._finishing = False
        return True

    def start_again(self, kind: str) -> None:
        """Starts a worker in the place of a lost one."""
        self.workers[kind] = self.stream.start(kind)

    def break_off(self, kind: str, reason: str) -> None:
        """Ends the stream because one of its workers cannot be kept alive.

        Without a decoder, what is in flight still goes into the files.
        """
        self.stream.broken = True
        if kind == "decode" and self.stream.reading:
            self._note_error(reason)
            self.ended = True
        else:
            self.end(reason)

    def stop_reading(self) -> None:
        """Lets no more frames in; those in flight go on."""
        decoder = self._ready("decode")
        if not self.reading or decoder is None:
            self.end()
        elif not self.ended:
            self._context.send(decoder, Finish())

    def cut_short(self) -> None:
        """Gives up what is not with the encode worker, and has it close its files."""
        for lease in self.stream.ledger:
            if lease.stage != "encode" or lease.at is not At.HELD:
                self.drop(lease, "stopped")
        encoder = self._ready("encode")
        if encoder is None or self._cut_short:
            self.end()
            return
        self._cut_short = self.ended = self._finishing = True
        self._context.send(encoder, Finish())

    def end(self, error: str | None = None) -> None:
        """Closes the books and ends the stream's workers."""
        if error:
            self._note_error(error)
        stream, workers = self.stream, list(self.workers.values())
        slots = [*(self._free or ()), *self._granted.values()]
        for lease in stream.ledger:
            if lease.stage == "encode":
                slots.append(lease.slot)
                lease.abandoned = True
            self.drop(lease, "stopped")
        self.over = self.ended = True
        self.workers = {}  # what they still say is not listened to
        stream.ledger.close(stream.books.decoded - stream.num_dropped_at_source)
        for worker in workers:
            worker.end()
            self._context.send(worker, Stop())
        # The encode worker may be reading from its slots until it is really gone.
        self._context.slots.retire(slots, workers)
        stream.seconds = time.monotonic() - stream.started

    def _note_error(self, error: str) -> None:
        if self.stream.error is None:
            self.stream.error = error
            log.error("%s", error)

    def _ready(self, kind: str) -> Worker | None:
        worker = self.workers.get(kind)
        return worker if worker is not None and worker.ready else None

    def _begin_reading(self) -> None:
        """Lets the decoder begin, once source and sinks are open."""
        stream, decoder = self.stream, self._ready("decode")
        if self.reading or stream.info is None or decoder is None or self._ready("encode") is None:
            return
        self.reading = stream.reading = True
        if self._free is None:
            size, make = stream.info.size, self._context.slots.make
            self._free = [make(number, size) for number in range(self._context.window)]
        first = max(stream.ledger.num_ordered, stream.num_done)
        self._context.send(decoder, BeginDecode(stream.num_items, first))
        self._grant()

    def _grant(self) -> None:
        """Gives the decoder the free slots, not one by one unless it has no other."""
        decoder = self._ready("decode")
        if not self.reading or self.ended or decoder is None or not self._free:
            return
        if not self._granted or 4 * len(self._free) >= self._context.window:
            self._granted.update({slot.number: slot for slot in self._free})
            self._context.send(decoder, Grant(self._free))
            self._free = []

    def _take_sinks_opened(self, worker: Worker, body: SinksOpened) -> None:
        worker.ready = True
        stream = self.stream
        stream.wants_picture = body.wants_picture
        if not self.reading and not stream.ledger.num_ordered:
            stream.begin(num_done=body.num_done)
        stream.ledger.take_from_writer(body.num_done)
        begin = BeginEncode(list(stream.ledger.runs), stream.ledger.last_durable)
        self._context.send(worker, begin)
        self._begin_reading()

    def _take_decoded(self, body: Decoded, payload: list[zmq.Frame]) -> None:
        arrays = found_arrays(body.slot, body.frame.arrays, payload)
        if self._granted.get(body.slot.number) != body.slot:
            raise WireError(f"slot {body.slot.number} was filled and not granted")
        self.stream.check_frame(body.frame.meta)
        self.stream.count_item(body.number, body.books)
        del self._granted[body.slot.number]
        self.stream.books.in_flight += 1
        lease = self.stream.ledger.open(body.frame.meta, body.slot, body.served)
        lease.arrays.update(arrays)
        if not lease.done_before:
            self._context.enqueue(self, lease)
        self._grant()
        if self._context.freshest and not self._granted and not self._free:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Makes room for the newest frame at the cost of the oldest that nobody works on."""
        for lease in self.stream.ledger:
            if lease.at is At.WAITING and lease.stage != "encode":
                self.drop(lease, "stale")
                return

    def _release(self, num_durable: int) -> None:
        for lease in self.stream.ledger.release(num_durable):
            self.stream.books.in_flight -= 1
            self.stream.count_times(lease)
            self._context.on_frame(self.stream, lease)
            self.release_slot(lease)
        self.stream.books.encoded = num_durable


def send_frame(send: Send, worker: Worker, lease: Lease, fields: tuple[str, ...]) -> None:
    """Sends a worker a frame, with those of its arrays that the stage needs."""
    chosen = [lease.arrays[name] for name in fields if name in lease.arrays]
    frame = WireFrame(lease.meta, lease.geometry, tuple(pixels for pixels, _ in chosen))
    payload = [held for _, held in chosen if held is not None]
    send(worker, Work(frame, lease.room(), lease.begins_part), payload)


def found_arrays(
    slot: Slot, arrays: tuple[Pixels, ...], payload: list[zmq.Frame]
) -> dict[str, tuple[Pixels, zmq.Frame | None]]:
    """Gives what a message brought, by field.

    Raises:
        WireError: an array is not where it is said to be.
    """
    rest = iter(payload)
    found: dict[str, tuple[Pixels, zmq.Frame | None]] = {}
    for pixels in arrays:
        held = None
        if pixels.offset is None:
            held = next(rest, None)
            if held is None or len(held) != pixels.num_bytes:
                raise WireError(f"{pixels.field}: the array did not come with its message")
        elif not slot.start <= pixels.offset <= slot.stop - pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array lies outside its slot")
        found[pixels.field] = pixels, held
    return found
