"""The hub: takes every frame from stage to stage, through workers that may die at any moment.

All that a run knows of its frames is here, in one thread: leases, slots, the order, the books. Workers
know only the frame that they have. So a worker can be replaced at any time: what it had is handed
out again.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import zmq

from icstream.pipeline.ledger import At, Lease
from icstream.pipeline.link import HubSocket
from icstream.pipeline.processes import Worker
from icstream.pipeline.slots import SlotPool
from icstream.pipeline.stream import Stream
from icstream.pipeline.supervisor import Lost, Supervisor
from icstream.pipeline.wire import (
    Beat,
    BeginDecode,
    BeginEncode,
    Closed,
    Decoded,
    Done,
    Ended,
    Failed,
    Fault,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    Hello,
    Message,
    Opened,
    Pixels,
    Ready,
    SinksOpened,
    Slot,
    Stop,
    WarmUp,
    WireError,
    WireFrame,
    Work,
    Written,
)
from icstream.stages import Gap

log = logging.getLogger(__name__)

_TICK_S = 0.1
_DEPTH = 2
"""Frames that a worker has at once: one under its hands and one to go on with."""
_MAX_CRASHES = 3
"""A frame on which so many processes ended by their own doing is given up."""
_PAUSED_S = 1.0
"""If the hub itself did nothing for so long, silence of the others means nothing."""
_END_S = 0.5
_LINK_FAULT_S = 1.0
"""A message that was sent this long ago and has not come is lost."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What a hub must know."""

    window: int
    """Frames of a stream that may be in flight."""
    max_streams: int
    """Streams that are worked on at once."""
    freshest: bool
    """Whether the oldest waiting frame is dropped when the next one finds no room."""
    stop_s: float
    """How long frames in flight may take to finish once the run is to stop."""


@dataclass(slots=True)
class Crew:
    """How the workers of a stage are started, and those that there are."""

    start: Callable[[int], Worker]
    """Starts number n."""
    workers: list[Worker] = field(default_factory=list)


class Hub:
    """Runs streams to their end."""

    def __init__(
        self,
        settings: HubSettings,
        *,
        socket: HubSocket,
        supervisor: Supervisor,
        slots: SlotPool,
        on_frame: Callable[[Stream, Lease], None] = lambda _stream, _lease: None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Joins what was made for it.

        Args:
            settings: of the run.
            socket: bound.
            supervisor: knows the workers.
            slots: the memory for frames in flight.
            on_frame: called with each frame that is durable in its files.
            on_tick: called several times a second.
        """
        self._settings = settings
        self._socket = socket
        self._supervisor = supervisor
        self._slots = slots
        self._on_frame = on_frame
        self._on_tick = on_tick
        self._crews: dict[str, Crew] = {}
        self._waiting: dict[str, deque[tuple[Stream, Lease]]] = {
            "preprocess": deque(),
            "segment": deque(),
        }
        self._queue: deque[Stream] = deque()
        self._streams: dict[str, Stream] = {}
        self._owners: dict[bytes, Stream] = {}
        self._held: dict[bytes, list[tuple[Stream, Lease]]] = {}
        self._silent_since: dict[bytes, float] = {}
        self._stop_deadline: float | None = None
        self.error: str | None = None
        """Why the run was given up."""

    def add_crew(self, stage: str, start: Callable[[int], Worker], count: int) -> None:
        """Starts the workers of a stage that all streams share."""
        crew = self._crews[stage] = Crew(start)
        for number in range(count):
            crew.workers.append(start(number))

    def run(self, streams: list[Stream], *, should_stop: Callable[[], bool]) -> None:
        """Takes the streams to their end; those that are not begun when it must stop are left."""
        self._queue.extend(streams)
        poller = zmq.Poller()
        poller.register(self._socket.socket, zmq.POLLIN)
        last = time.monotonic()
        while self._streams or self._queue:
            self._begin_streams()
            poller.poll(round(1e3 * _TICK_S))
            self._take_messages()
            self._dispatch()
            now = time.monotonic()
            if now - last >= _TICK_S:
                self._supervisor.watch(self._take_loss, paused=now - last > _PAUSED_S)
                self._slots.collect()
                self._on_tick()
                last = time.monotonic()
            if should_stop() and self._stop_deadline is None:
                self._stop()
            if self._stop_deadline is not None and time.monotonic() > self._stop_deadline:
                self._cut_short()
        self._on_tick()

    def end(self) -> None:
        """Ends all workers."""
        for worker in self._supervisor.processes:
            worker.end()
            self._send(worker, Stop())
        self._supervisor.processes.end_all(wait_s=_END_S)

    # Streams

    def _begin_streams(self) -> None:
        while self._queue and len(self._streams) < self._settings.max_streams:
            stream = self._queue.popleft()
            self._streams[stream.name] = stream
            stream.started = time.monotonic()
            for kind in ("decode", "encode"):
                self._own(stream, stream.start(kind))

    def _own(self, stream: Stream, worker: Worker) -> None:
        self._owners[worker.name] = stream
        stream.workers[worker.kind] = worker

    def _begin_reading(self, stream: Stream) -> None:
        """Lets the decoder begin, once source and sinks are open."""
        decoder, encoder = stream.workers.get("decode"), stream.workers.get("encode")
        if not (decoder and decoder.ready and encoder and encoder.ready and stream.info):
            return
        if stream.reading:
            return
        stream.reading = True
        if not stream.slots_made:
            stream.slots_made = True
            size, window = stream.info.size, self._settings.window
            stream.free_slots = [self._slots.make(number, size) for number in range(window)]
        first = max(stream.ledger.num_ordered, stream.num_done)
        self._send(decoder, BeginDecode(stream.num_items, first))
        self._grant(stream)

    def _release_slot(self, stream: Stream, lease: Lease) -> None:
        """Lets the decoder send another frame."""
        if lease.abandoned:
            return  # somebody may still be writing to it
        if stream.name not in self._streams:
            self._slots.give_back([lease.slot])
            return
        stream.free_slots.append(self._slots.fitting(lease.slot, lease.meta.size))
        self._grant(stream)

    def _grant(self, stream: Stream) -> None:
        decoder = stream.workers.get("decode")
        if stream.reading and not stream.ended and decoder is not None and stream.free_slots:
            slots, stream.free_slots = stream.free_slots, []
            stream.granted.update({slot.number: slot for slot in slots})
            self._send(decoder, Grant(slots))

    def _finish_if_written(self, stream: Stream) -> None:
        """Has the files closed once everything is with the encode worker."""
        encoder = stream.workers.get("encode")
        if not stream.ended or stream.finishing or encoder is None or not encoder.ready:
            return
        if all(lease.at is At.HELD and lease.stage == "encode" for lease in stream.ledger):
            stream.finishing = True
            self._send(encoder, Finish())

    def _end_stream(self, stream: Stream, error: str | None = None) -> None:
        """Closes the books of a stream and ends its workers."""
        if error and stream.error is None:
            stream.error = error
            log.error("%s", error)
        workers = list(stream.workers.values())
        slots = [*stream.free_slots, *stream.granted.values()]
        for lease in stream.ledger:
            if lease.stage == "encode":
                slots.append(lease.slot)
                lease.abandoned = True
            self._drop(stream, lease, "stopped")
        stream.ended = True
        stream.free_slots.clear()
        stream.granted.clear()
        stream.ledger.close(stream.books.decoded - stream.num_dropped_at_source)
        for worker in workers:
            worker.end()
            self._owners.pop(worker.name, None)
            self._send(worker, Stop())
        stream.workers.clear()
        self._slots.retire(slots, workers)
        stream.seconds = time.monotonic() - stream.started
        self._streams.pop(stream.name, None)

    # Messages

    def _take_messages(self) -> None:
        while (got := self._socket.receive()) is not None:
            name, header, payload = got
            worker = self._supervisor.processes.get(name[:16])
            if worker is None:
                continue  # one that was given up, or a stranger
            worker.last_seen = time.monotonic()
            try:
                number, body = self._socket.read(header)
                if isinstance(body, Beat):
                    self._take_beat(worker, body)
                    continue
                if number != worker.num_received:
                    raise WireError(f"message {number} came where {worker.num_received} was due")
                worker.num_received += 1
                self._take(worker, body, payload)
            except WireError as error:
                self._supervisor.give_up(worker, f"link fault: {error}", self._take_loss)

    def _take_beat(self, worker: Worker, beat: Beat) -> None:
        worker.busy_s = beat.busy_s
        if beat.num_sent <= worker.num_received:
            self._silent_since.pop(worker.name, None)
            return
        since = self._silent_since.setdefault(worker.name, time.monotonic())
        if time.monotonic() - since > _LINK_FAULT_S:
            raise WireError(f"{beat.num_sent - worker.num_received} messages did not arrive")

    def _take(self, worker: Worker, body: Any, payload: list[zmq.Frame]) -> None:
        stream = self._owners.get(worker.name)
        match body:
            case Hello():
                self._take_hello(worker)
            case Ready():
                worker.ready = True
            case Done():
                self._take_done(worker, body, payload)
            case Failed():
                self._take_failed(worker, body)
            case Fault():
                self._take_fault(worker, body)
            case _ if stream is None:
                pass
            case Opened():
                worker.ready = True
                stream.open(body.info)
                self._warm_up(body.info.size)
                self._begin_reading(stream)
            case SinksOpened():
                self._take_sinks_opened(worker, stream, body)
            case Decoded():
                self._take_decoded(stream, body, payload)
            case GapFound():
                stream.count_item(body.number, body.books)
                stream.note_gap(body.gap)
            case FormatChanged():
                stream.count_item(body.number, None)
                stream.ledger.begin_part()
            case Ended():
                self._take_ended(stream, body)
            case Written():
                self._take_written(stream, body)
            case Closed():
                self._take_closed(stream, body)

    def _take_hello(self, worker: Worker) -> None:
        worker.connected = True
        if worker.kind == "segment":
            for size in {s.info.size for s in self._streams.values() if s.info}:
                self._send(worker, WarmUp(size))

    def _warm_up(self, size: tuple[int, int]) -> None:
        for worker in self._crews["segment"].workers:
            if worker.connected:
                self._send(worker, WarmUp(size))

    def _take_sinks_opened(self, worker: Worker, stream: Stream, body: SinksOpened) -> None:
        worker.ready = True
        stream.wants_picture = body.wants_picture
        ledger = stream.ledger
        if not stream.reading and not ledger.num_ordered:
            stream.begin(num_done=body.num_done)
        ledger.take_from_writer(body.num_done)
        self._send(worker, BeginEncode(list(ledger.runs), ledger.last_durable))
        stream.finishing = False
        self._begin_reading(stream)

    def _take_decoded(self, stream: Stream, body: Decoded, payload: list[zmq.Frame]) -> None:
        arrays = _arrays(body.slot, body.frame.arrays, payload)
        stream.take_slot(body.slot)
        stream.count_item(body.number, body.books)
        stream.books.in_flight += 1
        lease = stream.ledger.open(body.frame.meta, body.slot, body.served)
        lease.arrays.update(arrays)
        if not lease.done_before:
            self._wait(stream, lease)
        if self._settings.freshest and not stream.granted and not stream.free_slots:
            self._drop_oldest(stream)

    def _take_done(self, worker: Worker, body: Done, payload: list[zmq.Frame]) -> None:
        stream, lease = self._take_from(worker, body.stream, body.index)
        if stream is None or lease is None:
            return
        lease.arrays.update(_arrays(lease.slot, body.arrays, payload))
        lease.geometry = body.geometry
        lease.served[lease.stage] = body.served
        # What no later stage needs is not kept.
        if lease.stage == "preprocess" and not stream.wants_picture:
            lease.arrays.pop("picture", None)
        elif lease.stage == "segment":
            lease.arrays.pop("prepared", None)
        stream.ledger.advance(lease)
        if lease.stage == "segment":
            self._wait(stream, lease)

    def _take_from(
        self, worker: Worker, stream_name: str, index: int
    ) -> tuple[Stream | None, Lease | None]:
        """Takes a frame off a worker's hands; None if the frame is not in flight any more."""
        held = self._held.get(worker.name, [])
        for place, (stream, lease) in enumerate(held):
            if stream.name == stream_name and lease.meta.index == index:
                del held[place]
                if lease.at is At.HELD:
                    return stream, lease
                lease.abandoned = False
                self._release_slot(stream, lease)
        return None, None

    def _take_failed(self, worker: Worker, body: Failed) -> None:
        if worker.kind == "encode":
            stream = self._owners.get(worker.name)
            lease = stream.ledger.get(body.index) if stream else None
        else:
            stream, lease = self._take_from(worker, body.stream, body.index)
        if stream is not None and lease is not None:
            self._fail(stream, lease, body.reason, body.detail)

    def _fail(self, stream: Stream, lease: Lease, reason: str, detail: str) -> None:
        log.warning("%s: frame %d failed: %s", stream.name, lease.meta.index, detail)
        stream.books.failed[reason] += 1
        stream.books.in_flight -= 1
        stream.note_gap(Gap(stream.name, lease.meta.index, lease.meta.pts, reason))
        stream.ledger.fail(lease)
        self._release_slot(stream, lease)

    def _drop(self, stream: Stream, lease: Lease, reason: str) -> None:
        stream.books.dropped[reason] += 1
        stream.books.in_flight -= 1
        lease.abandoned = lease.abandoned or lease.at is At.HELD
        stream.ledger.drop(lease)
        for waiting in self._waiting.values():
            if (stream, lease) in waiting:
                waiting.remove((stream, lease))
        self._release_slot(stream, lease)

    def _drop_oldest(self, stream: Stream) -> None:
        """Makes room for the newest frame at the cost of the oldest that nobody works on."""
        for lease in stream.ledger:
            if lease.at is At.WAITING and lease.stage != "encode":
                self._drop(stream, lease, "stale")
                return

    def _take_fault(self, worker: Worker, fault: Fault) -> None:
        stream = self._owners.get(worker.name)
        if stream is None:
            self._give_up(f"{worker.label}: {fault.text}")
            return
        if fault.kind == "output":
            stream.unwritable = True
        self._end_stream(stream, fault.text)
        if fault.kind == "output":
            self._give_up(None)

    def _take_ended(self, stream: Stream, body: Ended) -> None:
        stream.count_books(body.books)
        stream.ended = True
        if body.error:
            stream.error = body.error
            log.error("%s", body.error)

    def _take_written(self, stream: Stream, body: Written) -> None:
        lease = stream.ledger.mark_written(body.index, body.part)
        if lease is not None:
            lease.served["encode"] = body.served
        self._release(stream, body.num_durable)

    def _release(self, stream: Stream, num_durable: int) -> None:
        for lease in stream.ledger.release(num_durable):
            stream.books.in_flight -= 1
            stream.count_times(lease)
            self._on_frame(stream, lease)
            self._release_slot(stream, lease)
        stream.books.encoded = num_durable

    def _take_closed(self, stream: Stream, body: Closed) -> None:
        self._release(stream, body.num_frames)
        stream.parts = body.parts
        self._end_stream(stream)

    # Work

    def _wait(self, stream: Stream, lease: Lease) -> None:
        self._waiting[lease.stage].append((stream, lease))

    def _dispatch(self) -> None:
        for stage, waiting in self._waiting.items():
            workers = [worker for worker in self._crews[stage].workers if worker.ready]
            while waiting and workers:
                worker = min(workers, key=lambda worker: len(self._held.get(worker.name, ())))
                held = self._held.setdefault(worker.name, [])
                if len(held) >= _DEPTH:
                    break
                stream, lease = waiting.popleft()
                lease.at = At.HELD
                held.append((stream, lease))
                self._send_frame(
                    worker, lease, ("picture" if stage == "preprocess" else "prepared",)
                )
        for stream in list(self._streams.values()):
            self._feed_encoder(stream)

    def _feed_encoder(self, stream: Stream) -> None:
        encoder = stream.workers.get("encode")
        if encoder is None or not encoder.ready:
            return
        while (lease := stream.ledger.next_to_write()) is not None:
            fields = ("scores", "picture") if stream.wants_picture else ("scores",)
            self._send_frame(encoder, lease, () if lease.done_before else fields)
        self._finish_if_written(stream)

    def _send_frame(self, worker: Worker, lease: Lease, fields: tuple[str, ...]) -> None:
        chosen = [lease.arrays[name] for name in fields if name in lease.arrays]
        frame = WireFrame(lease.meta, lease.geometry, tuple(pixels for pixels, _ in chosen))
        payload = [held for _, held in chosen if held is not None]
        self._send(worker, Work(frame, lease.room(), lease.begins_part), payload)

    def _send(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        if self._socket.send(worker.name, worker.num_sent, body, payload or ()):
            worker.num_sent += 1

    # Losses

    def _take_loss(self, lost: Lost) -> None:
        """Hands out again what a worker had, and starts another in its place if it is needed."""
        worker = lost.worker
        self._silent_since.pop(worker.name, None)
        stream = self._owners.pop(worker.name, None)
        self._hand_out_again(worker, crashed=lost.crashed)
        if stream is not None:
            stream.lose(worker)
            if worker.kind == "decode" and stream.ended:
                return
        if lost.too_often:
            times = self._supervisor.restarts_per_minute + 1
            reason = f"{worker.label}: {lost.why}, lost {times} times in a minute"
            if stream is None:
                self._give_up(reason)
            else:
                stream.broken = True
                self._end_stream(stream, reason)
            return
        log.warning("%s: %s; it is started again", worker.label, lost.why)
        if stream is not None:
            self._own(stream, stream.start(worker.kind))
        else:
            crew = self._crews[worker.kind]
            number = crew.workers.index(worker)
            crew.workers[number] = crew.start(number)

    def _hand_out_again(self, worker: Worker, *, crashed: bool) -> None:
        held = self._held.pop(worker.name, [])
        for place, (stream, lease) in enumerate(held):
            if lease.at is At.OUT:
                lease.abandoned = False
                self._release_slot(stream, lease)
                continue
            lease.num_crashes += crashed and place == 0
            stream.ledger.hand_out_again(lease)
            if lease.num_crashes >= _MAX_CRASHES:
                self._fail(stream, lease, f"{worker.kind} crashed", "its worker crashed each time")
        for stream, lease in reversed(held):
            if lease.at is At.WAITING:
                self._waiting[lease.stage].appendleft((stream, lease))

    # The end

    def _give_up(self, error: str | None) -> None:
        """Ends the run in order because it cannot go on."""
        if error and self.error is None:
            self.error = error
            log.error("%s", error)
        self._stop()
        self._stop_deadline = time.monotonic()

    def _stop(self) -> None:
        """Lets no more frames in; what is in flight may still finish."""
        self._queue.clear()
        now = time.monotonic()
        self._stop_deadline = now + self._settings.stop_s
        for stream in list(self._streams.values()):
            decoder = stream.workers.get("decode")
            if not stream.reading or decoder is None:
                self._end_stream(stream)
            elif not stream.ended:
                self._send(decoder, Finish())
        if not any(worker.ready for worker in self._crews["segment"].workers):
            self._stop_deadline = now

    def _cut_short(self) -> None:
        """Gives up what is not with the encode workers, and has them close their files."""
        for stream in list(self._streams.values()):
            for lease in stream.ledger:
                if lease.stage != "encode" or lease.at is not At.HELD:
                    self._drop(stream, lease, "stopped")
            encoder = stream.workers.get("encode")
            if encoder is None or not encoder.ready or stream.cut_short:
                self._end_stream(stream)
                continue
            stream.cut_short = stream.ended = stream.finishing = True
            self._send(encoder, Finish())
        self._stop_deadline = time.monotonic() + 1.0


def _arrays(
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
