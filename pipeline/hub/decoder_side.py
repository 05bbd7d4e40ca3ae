"""The decoder of a stream, and the slots that it may fill."""

import time

import zmq

from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.decoder_losses import DecoderLosses
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_slots import StreamSlots
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.frames import received_arrays
from icstream.pipeline.wire.messages import (
    BeginDecode,
    Decoded,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    NeedRoom,
    NoRoom,
    Opened,
    Skipped,
    Slot,
    WireError,
)


class DecoderSide:
    """The input side of a stream.

    Attributes:
        worker: The decoder; None until a lost one is replaced.
        losses: Losses of the stream's decoders.
    """

    def __init__(self, stream: StreamState, context: ControllerContext) -> None:
        self.worker: Worker | None = None
        self._stream = stream
        self._context = context
        self._begun: Worker | None = None
        """The decoder that has received `BeginDecode`."""
        self._first_frame = 0
        """Index of the first frame that the decoder sends."""
        holding = context.slots.hold(stream.name, is_live=stream.is_live)
        self._slots = StreamSlots(context.slots, holding, window=context.window)
        self.losses = DecoderLosses(stream)

    @property
    def ready(self) -> Worker | None:
        """The decoder, if it is ready for messages."""
        return self.worker if self.worker is not None and self.worker.ready else None

    @property
    def is_full(self) -> bool:
        """Whether every slot holds a frame, so that the decoder cannot send one."""
        return not self._slots.all

    def is_used_up_by(self, num_frames: int) -> bool:
        """Return whether the decoder can send no frame until one of these has been released."""
        return self._slots.are_used_up_by(num_frames)

    def start(self) -> None:
        """Start a decoder, which continues where a lost one stopped.

        Raises:
            OSError: The system cannot start another process.
        """
        self._first_frame = self._stream.leases.num_ordered
        self.worker = self._stream.start_decode()

    def begin(self, *, encoder_ready: bool) -> None:
        """Start the decoder, and then its frames, once the workers behind it are ready.

        With the policy freshest, the network must be ready too; otherwise all frames of a recording
        would be dropped before it is.
        """
        stream, decoder = self._stream, self.ready
        if decoder is None or stream.phase > Phase.READING:
            return
        if decoder is not self._begun and encoder_ready and self._may_begin():
            self._begun = decoder
            first = max(stream.leases.num_ordered, stream.num_done)
            if stream.is_live:
                stream.live_since_s = stream.live_since_s or time.monotonic()
                first = 0
            state, left_out = stream.resume_state(), self.losses.left_out
            begin = BeginDecode(stream.num_items, first, state, left_out)
            self._context.send(decoder, begin)
        if decoder is self._begun and self._may_read():
            self._read()

    def open(self, body: Opened) -> None:
        """Record that the source is open."""
        assert self.worker is not None
        self.worker.ready = True
        self._stream.info = self._stream.info or body.info
        self._context.pools.announce(self._stream, body.info.size)

    def take_frame(self, body: Decoded, payload: list[zmq.Frame]) -> Lease:
        """Return the lease of a frame received from the decoder.

        Raises:
            WireError: It is not the expected frame, or it lies outside its granted slot.
        """
        stream, meta = self._stream, body.frame.meta
        arrays = received_arrays(body.slot, body.frame.arrays, payload)
        if not self._slots.fill_granted(body.slot):
            raise WireError(f"slot {body.slot.number} was filled and not granted")
        stream.check_frame(meta)
        stream.count_item(body.number, body.accounting)
        stream.source.note_frame(meta, body.served.start)
        return stream.leases.open(
            meta, body.slot, body.served, arrays=arrays, geometry=body.frame.geometry
        )

    def take_skipped(self, body: Skipped, _: list[zmq.Frame]) -> None:
        """Count a frame that the decoder has skipped."""
        self._stream.check_index(body.index)
        self._stream.count_item(body.number, body.accounting)
        self._stream.skip(body.index, body.reason, failure=body.failure)

    def take_need(self, body: NeedRoom, _: list[zmq.Frame]) -> None:
        """Find memory for a frame that is larger than the slots."""
        self._slots.want(body.size, body.slots)
        self._settle_want()
        self.grant()

    def refill(self) -> None:
        """Use memory that has become free, if it was short."""
        if self._stream.phase is Phase.READING:
            self._settle_want()
            self._slots.fill()
            self.grant()

    def take_gap(self, body: GapFound, _: list[zmq.Frame]) -> None:
        """Count a missing frame."""
        self._stream.count_item(body.number, body.accounting)
        self._stream.note_gap(body.gap)

    def take_format_change(self, body: FormatChanged, _: list[zmq.Frame]) -> None:
        """Begin a new part with the next frame."""
        self._stream.count_item(body.number, None)
        self._stream.leases.begin_section()

    def take_slot(self, lease: Lease) -> None:
        """Take back the slot of a finished frame, so that another frame can be decoded."""
        self._slots.take_back(lease.slot, lease.meta.size)
        self._settle_want()
        self.grant()

    def grant(self) -> None:
        """Grant free slots to the decoder, several at once unless workers would have to wait.

        A decoder that decodes several frames in a row keeps its memory in the CPU's caches.
        """
        stream, decoder, slots = self._stream, self.ready, self._slots
        if decoder is None or decoder is not self._begun or stream.phase is not Phase.READING:
            return
        if not slots.free:
            return
        enough = -(-self._context.window // 3)
        is_short = not slots.granted and self._num_unsegmented() < enough
        if self.losses.call_for_caution:
            if not slots.granted:
                self._context.send(decoder, Grant(slots.grant(at_most=1)))
        elif stream.plan.freshest or is_short or len(slots.free) >= enough:
            self._context.send(decoder, Grant(slots.grant()))

    def end(self) -> list[Slot]:
        """Return the slots that hold no frame, now that the stream has ended."""
        return self._slots.end()

    def finish(self) -> bool:
        """Ask the decoder to send only frames it has begun; return False if it is not decoding."""
        decoder = self.ready
        if decoder is None or decoder is not self._begun:
            return False
        self._context.send(decoder, Finish())
        return True

    def lose(self, lost: LostWorker) -> str | None:
        """Take back the slots of a lost decoder; return why the stream must end, or None."""
        self.worker = self._begun = None
        was_reading = bool(self._slots.granted)
        self._slots.take_granted()
        if self._stream.leases.num_ordered > self._first_frame:
            lost.worker.gain()
        return self.losses.add(lost, was_reading=was_reading)

    def _may_begin(self) -> bool:
        """Return whether the source and, if required, the network are ready."""
        stream = self._stream
        if stream.info is None and not stream.is_live:
            return False
        return not (stream.is_live or stream.plan.freshest) or self._context.pools.are_staffed()

    def _may_read(self) -> bool:
        """Return whether frames may come, or the network has to prepare for their size first."""
        stream = self._stream
        if stream.info is None:
            return False
        may_wait = self._slots.are_made or not stream.plan.freshest
        return may_wait or self._context.pools.are_ready_for(stream.info.size)

    def _read(self) -> None:
        """Start reading."""
        stream = self._stream
        assert stream.info is not None
        stream.phase = Phase.READING
        if not self._slots.are_made:
            self._slots.make(stream.info.size)
        self.grant()

    def _settle_want(self) -> None:
        reason = self._slots.settle_want()
        if reason is not None and self.ready is not None:
            self._context.send(self.ready, NoRoom(reason))

    def _num_unsegmented(self) -> int:
        """Return the number of frames that have not passed the network."""
        stage_counts = self._stream.leases.stage_counts
        return stage_counts["preprocess"].in_flight + stage_counts["segment"].in_flight
