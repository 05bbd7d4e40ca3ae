"""The decoder of a stream, and the slots that it may fill."""

import time

import zmq

from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.frames import received_arrays
from icstream.pipeline.wire.messages import (
    BeginDecode,
    Decoded,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    Opened,
    Skipped,
    Slot,
    SourceChanged,
    WireError,
)


class DecoderSide:
    """The side of a stream that frames come from.

    Attributes:
        worker: The decoder; None while a lost one is not replaced.
    """

    def __init__(self, stream: StreamState, context: ControllerContext) -> None:
        self.worker: Worker | None = None
        self._stream = stream
        self._context = context
        self._begun: Worker | None = None
        """The decoder that was asked to begin."""
        self._live_since_s: float | None = None
        """When the first decoder of a live source was asked to."""
        self._free: list[Slot] | None = None
        """Slots that nobody uses; None until they are made."""
        self._granted: dict[int, Slot] = {}
        """Slots that the decoder may fill, by number."""

    @property
    def ready(self) -> Worker | None:
        """The decoder, if it takes messages."""
        return self.worker if self.worker is not None and self.worker.ready else None

    @property
    def slots(self) -> list[Slot]:
        """Slots that hold no frame."""
        return [*(self._free or ()), *self._granted.values()]

    @property
    def is_full(self) -> bool:
        """Whether all slots hold frames, so that none can come."""
        return not self._free and not self._granted

    @property
    def is_due_to_stop(self) -> bool:
        """Whether a live source has been read for as long as it should be."""
        duration_s = self._stream.plan.settings.duration_s
        if duration_s is None or self._live_since_s is None:
            return False
        return time.monotonic() - self._live_since_s > duration_s

    def start(self) -> None:
        """Start a decoder, which goes on where a lost one stopped.

        Raises:
            OSError: The system has no room for another process.
        """
        self.worker = self._stream.start_decode()

    def begin(self, *, encoder_ready: bool) -> None:
        """Let the decoder begin, and frames come, once somebody can take them.

        Where only the freshest frames count, also the network must be ready: of a recording that is
        begun before, nothing would be left.
        """
        stream, decoder = self._stream, self.ready
        if decoder is None or stream.phase > Phase.READING:
            return
        if decoder is not self._begun and encoder_ready and self._may_begin():
            self._begun = decoder
            first = max(stream.leases.num_ordered, stream.num_done)
            if stream.is_live:
                self._live_since_s = self._live_since_s or time.monotonic()
                first = 0
            begin = BeginDecode(stream.num_items, first, stream.resume_state())
            self._context.send(decoder, begin)
        if decoder is self._begun and self._may_read():
            self._read()

    def open(self, body: Opened) -> None:
        """Note that the source is open."""
        assert self.worker is not None
        self.worker.ready = True
        self._stream.info = self._stream.info or body.info
        self._context.pools.warm_up(body.info.size)

    def take_frame(self, body: Decoded, payload: list[zmq.Frame]) -> Lease:
        """Return the lease of a frame that the decoder has sent.

        Raises:
            WireError: It is not the frame that is due, or it lies where it may not.
        """
        stream, meta = self._stream, body.frame.meta
        arrays = received_arrays(body.slot, body.frame.arrays, payload)
        if self._granted.get(body.slot.number) != body.slot:
            raise WireError(f"slot {body.slot.number} was filled and not granted")
        stream.check_frame(meta)
        stream.count_item(body.number, body.accounting)
        stream.source.note_frame(meta, body.served.start)
        del self._granted[body.slot.number]
        return stream.leases.open(
            meta, body.slot, body.served, arrays=arrays, geometry=body.frame.geometry
        )

    def take_skipped(self, body: Skipped, _: list[zmq.Frame]) -> None:
        """Count a frame that the decoder has left out."""
        self._stream.check_index(body.index)
        self._stream.count_item(body.number, body.accounting)
        self._stream.skip(body.index, body.reason)

    def take_gap(self, body: GapFound, _: list[zmq.Frame]) -> None:
        """Count a frame that is not there."""
        self._stream.count_item(body.number, body.accounting)
        self._stream.note_gap(body.gap)

    def take_format_change(self, body: FormatChanged, _: list[zmq.Frame]) -> None:
        """Let a new part begin with the next frame."""
        self._stream.count_item(body.number, None)
        self._stream.leases.begin_section()

    def take_source_change(self, body: SourceChanged, _: list[zmq.Frame]) -> None:
        """Note how the source is doing."""
        self._stream.source.note_change(body)

    def take_slot(self, lease: Lease) -> None:
        """Take back the slot of a frame that is through, so that another may come."""
        if self._free is None:
            self._context.slots.give_back([lease.slot])
            return
        self._free.append(self._context.slots.fitting(lease.slot, lease.meta.size))
        self.grant()

    def grant(self) -> None:
        """Give the decoder the free slots, several at once if that keeps nobody waiting.

        A decoder that decodes several frames in a row has its memory in the CPU's caches.
        """
        stream, decoder = self._stream, self.ready
        if decoder is None or decoder is not self._begun or stream.phase is not Phase.READING:
            return
        if not self._free:
            return
        enough = -(-self._context.window // 3)
        is_short = not self._granted and self._num_unsegmented() < enough
        if stream.plan.freshest or is_short or len(self._free) >= enough:
            self._granted.update({slot.number: slot for slot in self._free})
            self._context.send(decoder, Grant(self._free))
            self._free = []

    def finish(self) -> bool:
        """Ask the decoder to send no more than it has begun; False if it is not decoding."""
        decoder = self.ready
        if decoder is None or decoder is not self._begun:
            return False
        self._context.send(decoder, Finish())
        return True

    def lose(self) -> None:
        """Note that the decoder is gone, and take back what it was granted."""
        self.worker = self._begun = None
        if self._free is not None:
            self._free += self._granted.values()
        self._granted.clear()

    def _may_begin(self) -> bool:
        """Return whether source and network are ready, as far as they must be."""
        stream = self._stream
        if stream.info is None and not stream.is_live:
            return False
        return not (stream.is_live or stream.plan.freshest) or self._context.pools.are_staffed()

    def _may_read(self) -> bool:
        """Return whether frames may come: the network may have to prepare for their size first."""
        if self._stream.info is None:
            return False
        is_reading = self._free is not None
        return is_reading or not self._stream.plan.freshest or self._context.pools.are_staffed()

    def _read(self) -> None:
        """Let frames come."""
        stream = self._stream
        assert stream.info is not None
        stream.phase = Phase.READING
        if self._free is None:
            size, make = stream.info.size, self._context.slots.make
            self._free = [make(number, size) for number in range(self._context.window)]
        self.grant()

    def _num_unsegmented(self) -> int:
        """Return how many frames have not passed the network."""
        stage_counts = self._stream.leases.stage_counts
        return stage_counts["preprocess"].in_flight + stage_counts["segment"].in_flight
