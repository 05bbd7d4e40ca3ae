"""One stream under way: its decoder, its sinks, its slots, and the order of its frames."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import zmq

from icstream.pipeline.hub.dispatch import Send, send_frame
from icstream.pipeline.hub.lease_table import Lease, LeaseState, held_back
from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.wire.frames import received_arrays
from icstream.pipeline.wire.messages import (
    BeginDecode,
    BeginEncode,
    Closed,
    Decoded,
    Ended,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    Opened,
    SinksOpened,
    Skipped,
    Slot,
    SourceChanged,
    StageSpan,
    Stop,
    WireError,
    Written,
)
from icstream.stages import Gap

log = logging.getLogger(__name__)

_ENCODE_DEPTH = 2
"""Frames of the policy "freshest" that an encode worker has at once: more would grow old there."""


@dataclass(frozen=True, slots=True)
class ControllerContext:
    """What the streams of a run share."""

    window: int
    """Frames of a stream that may be in flight."""
    slots: SlotPool
    send: Send
    enqueue: Callable[["StreamController", Lease], None]
    """Lets a frame wait for a worker of its stage."""
    withdraw: Callable[["StreamController", Lease], None]
    """Undoes that."""
    is_staffed: Callable[[], bool]
    """Tells whether every stage that streams share has a worker that is ready."""
    on_frame: Callable[[StreamState, Lease], None]
    """Called with each frame that is durable in its files."""


class StreamController:
    """Takes the frames of one stream from its decoder to its sinks.

    Attributes:
        stream: what is known of the stream.
        over: true once all is closed.
        ended: true once the decoder will send no more.
        reading: true once the decoder was told to begin.
    """

    def __init__(self, stream: StreamState, context: ControllerContext) -> None:
        """Starts the stream's workers."""
        self.stream = stream
        self.over = self.ended = self.reading = False
        self._context = context
        self._finishing = False
        self._cut_short = False
        self._was_told = False
        """To stop reading."""
        self._connecting: Worker | None = None
        """The decoder of a live source that was told to connect."""
        self._live_since: float | None = None
        """When a live source was first told to connect."""
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
            case Skipped():
                stream.check_index(body.index)
                stream.count_item(body.number, body.accounting)
                stream.skip(body.index, body.reason)
            case SourceChanged():
                stream.note_condition(body)
            case GapFound():
                stream.count_item(body.number, body.accounting)
                stream.note_gap(body.gap)
            case FormatChanged():
                stream.count_item(body.number, None)
                stream.leases.begin_part()
            case Ended():
                stream.count_books(body.accounting)
                self.ended = True
                if body.error:
                    self._note_error(body.error)
            case Written():
                lease = stream.leases.mark_written(body.index, body.part)
                if lease is not None:
                    lease.served["encode"] = body.served
                self._release(body.num_durable)
                if not self.ended and stream.leases.is_stuck(self._context.window):
                    self.break_off("encode", held_back(stream.name, self._context.window))
            case Closed():
                self._release(body.num_frames)
                stream.parts = body.parts
                self.end()

    def feed_encoder(self) -> None:
        """Sends the encode worker what is its turn, and has the files closed after the last."""
        encoder = self._ready("encode")
        if encoder is None or self._finishing:
            return
        while self._may_write() and (lease := self.stream.leases.next_to_write()) is not None:
            fields = ["scores", *(("image", "canvas") if self.stream.wants_image else ())]
            send_frame(self._context.send, encoder, lease, [] if lease.done_before else fields)
        if self.ended and self.stream.leases.all_at_writer():
            self._finishing = True
            self._context.send(encoder, Finish())

    def tick(self) -> None:
        """Does what time demands: several times a second at least."""
        stream = self.stream
        stream.watch()
        self._begin_live()
        if stream.pace.freshest:
            self._begin_reading()
            self._drop_stale()
        self._grant()
        if self._time_left() < 0 and not self._was_told:
            self.stop_reading()

    def fail(self, lease: Lease, reason: str, detail: str) -> None:
        """Takes a frame out that a stage could not process."""
        stream, meta = self.stream, lease.meta
        log.warning("%s: frame %d failed: %s", stream.name, meta.index, detail)
        stream.accounting.failed[reason] += 1
        stream.accounting.in_flight -= 1
        stream.note_gap(Gap(stream.name, meta.index, meta.pts, reason))
        stream.leases.fail(lease)
        self.release_slot(lease)

    def drop(self, lease: Lease, reason: str) -> None:
        """Takes a frame out on purpose."""
        self.stream.accounting.dropped[reason] += 1
        self.stream.accounting.in_flight -= 1
        lease.abandoned = lease.abandoned or lease.at is LeaseState.HELD
        self._context.withdraw(self, lease)
        self.stream.leases.drop(lease)
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
            self.ended = self.ended or self._was_told
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
        if kind == "decode":
            self.end_reading(reason)
        else:
            self.end(reason)

    def end_reading(self, error: str) -> None:
        """Notes that no more frames will come, and why; those before still go into the files."""
        if not self.stream.reading:
            self.end(error)
            return
        self._note_error(error)
        self.ended = True

    def stop_reading(self) -> None:
        """Lets no more frames in; those in flight go on."""
        self._was_told = True
        decoder = self._ready("decode")
        if not self.stream.reading:
            self.end()
        elif not self.reading or decoder is None:
            self.ended = True  # what came before still goes into the files
        elif not self.ended:
            self._context.send(decoder, Finish())

    def cut_short(self) -> None:
        """Gives up what is not with the encode worker, and has it close its files."""
        for lease in self.stream.leases:
            if lease.stage != "encode" or lease.at is not LeaseState.HELD:
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
        for lease in stream.leases:
            if lease.stage == "encode":
                slots.append(lease.slot)
                lease.abandoned = True
            self.drop(lease, "stopped")
        self.over = self.ended = True
        self.workers = {}  # what they still say is not listened to
        stream.source_status = stream.source_status.to("ended")
        stream.leases.close(stream.accounting.decoded)
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

    def _time_left(self) -> float:
        """Gives how many seconds the stream may still go on."""
        duration_s = self.stream.pace.settings.duration_s
        if duration_s is None or self._live_since is None:
            return math.inf
        return self._live_since + duration_s - time.monotonic()

    def _begin_live(self) -> None:
        """Lets the decoder of a live source connect, once somebody can take its frames."""
        stream, decoder = self.stream, self._ready("decode")
        if stream.spec.kind != "live" or decoder is None or decoder is self._connecting:
            return
        if self.ended:
            return
        if self._context.is_staffed() and self._ready("encode") is not None:
            self._connecting = decoder
            self._live_since = self._live_since or time.monotonic()
            begin = BeginDecode(stream.num_items, 0, stream.before())
            self._context.send(decoder, begin)
            self._begin_reading()

    def _begin_reading(self) -> None:
        """Lets the decoder begin, once source and sinks are open.

        Of a recording of which only the freshest frames count, also somebody must be there to take
        them, or it would be over before the network is loaded.
        """
        stream, decoder = self.stream, self._ready("decode")
        if self.reading or stream.info is None or decoder is None or self._ready("encode") is None:
            return
        if self.ended or (stream.pace.freshest and not self._context.is_staffed()):
            return
        self.reading = stream.reading = True
        if self._free is None:
            size, make = stream.info.size, self._context.slots.make
            self._free = [make(number, size) for number in range(self._context.window)]
        if stream.spec.kind != "live":
            first = max(stream.leases.num_ordered, stream.num_done)
            self._context.send(decoder, BeginDecode(stream.num_items, first, stream.before()))
        self._grant()

    def _grant(self) -> None:
        """Gives the decoder the free slots, several at once if that keeps nobody waiting.

        One that decodes several frames in a row has its memory in the processor's caches.
        """
        decoder = self._ready("decode")
        if not self.reading or self.ended or decoder is None or not self._free:
            return
        enough = -(-self._context.window // 3)
        is_short = not self._granted and self._num_unsegmented() < enough
        if self.stream.pace.freshest or is_short or len(self._free) >= enough:
            self._granted.update({slot.number: slot for slot in self._free})
            self._context.send(decoder, Grant(self._free))
            self._free = []

    def _num_unsegmented(self) -> int:
        """Gives how many frames the network has before it."""
        stage_counts = self.stream.leases.stage_counts
        return stage_counts["preprocess"].in_flight + stage_counts["segment"].in_flight

    def _take_sinks_opened(self, worker: Worker, body: SinksOpened) -> None:
        worker.ready = True
        stream = self.stream
        stream.wants_image = body.wants_image
        if not self.reading and not stream.leases.num_ordered:
            stream.begin(num_done=body.num_done)
        stream.leases.take_from_writer(body.num_done)
        begin = BeginEncode(list(stream.leases.runs), stream.leases.last_durable)
        self._context.send(worker, begin)
        self._begin_reading()

    def _take_decoded(self, body: Decoded, payload: list[zmq.Frame]) -> None:
        arrays = received_arrays(body.slot, body.frame.arrays, payload)
        if self._granted.get(body.slot.number) != body.slot:
            raise WireError(f"slot {body.slot.number} was filled and not granted")
        self.stream.check_frame(body.frame.meta)
        self.stream.note_frame(body.frame.meta, body.served.start)
        self.stream.count_item(body.number, body.accounting)
        del self._granted[body.slot.number]
        self.stream.accounting.in_flight += 1
        lease = self.stream.leases.open(body.frame.meta, body.slot, body.served)
        lease.arrays.update(arrays)
        if body.frame.geometry is not None and not lease.done_before:
            lease.geometry = body.frame.geometry
            lease.served["preprocess"] = StageSpan(body.served.stop, body.served.stop)
            self.stream.leases.advance(lease)
        if not lease.done_before:
            self._context.enqueue(self, lease)
        self._grant()
        if self.stream.pace.freshest and not self._granted and not self._free:
            oldest = next(self._waiting(), None)
            if oldest is not None:
                self.drop(oldest, "stale")

    def _waiting(self) -> Iterator[Lease]:
        """Gives the frames that nobody works on and that may be dropped, the oldest first."""
        for lease in self.stream.leases:
            if lease.at is LeaseState.WAITING and not lease.done_before:
                yield lease

    def _drop_stale(self) -> None:
        """Drops what is too old, and what waits for an encode worker that has its hands full."""
        oldest_allowed = time.monotonic() - self.stream.pace.settings.max_age_s
        for lease in self._waiting():
            if lease.served["decode"].start < oldest_allowed:
                self.drop(lease, "stale")
        if not self._may_write():
            finished = [lease for lease in self._waiting() if lease.stage == "encode"]
            for lease in finished[:-1]:
                self.drop(lease, "stale")

    def _may_write(self) -> bool:
        """Tells whether the encode worker may get another frame."""
        return not self.stream.pace.freshest or self.stream.leases.num_unwritten < _ENCODE_DEPTH

    def _release(self, num_durable: int) -> None:
        for lease in self.stream.leases.release(num_durable):
            self.stream.accounting.in_flight -= 1
            self.stream.count_times(lease)
            self._context.on_frame(self.stream, lease)
            self.release_slot(lease)
        self.stream.accounting.encoded = num_durable
