"""Removal of a stream's frames in flight, and release of their slots."""

import logging
import time

from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.decoder_side import DecoderSide
from icstream.pipeline.hub.lease import Lease, LeaseState
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.wire.messages import Slot

log = logging.getLogger(__name__)


class FramesInFlight:
    """Removes frames of a stream, and returns their slots to the decoder."""

    def __init__(
        self, stream: StreamState, context: ControllerContext, decoder: DecoderSide
    ) -> None:
        self._stream = stream
        self._context = context
        self._decoder = decoder

    def fail(self, lease: Lease, reason: str, detail: str) -> None:
        """Remove a frame that a stage could not process."""
        self._stream.note_failure(lease.meta.index, lease.meta.pts, reason, detail)
        self._stream.leases.fail(lease, reason)
        self.release_slot(lease)

    def drop(self, lease: Lease, reason: str) -> None:
        """Drop a frame for a reason other than an error."""
        self._context.pools.withdraw(self._stream, lease)
        self._stream.leases.drop(lease, reason)
        self.release_slot(lease)

    def drop_oldest(self) -> None:
        """Drop the oldest waiting frame, if there is one, to make room."""
        for lease in self._waiting()[:1]:
            self.drop(lease, "stale")

    def drop_stale(self, *, encoder_has_room: bool) -> None:
        """Drop frames that are too old, and all but the newest one for a busy encode worker."""
        oldest_allowed_s = time.monotonic() - self._stream.plan.settings.max_age_s
        for lease in self._waiting():
            if lease.served["decode"].start < oldest_allowed_s:
                self.drop(lease, "stale")
        if not encoder_has_room:
            finished = [lease for lease in self._waiting() if lease.stage == "encode"]
            for lease in finished[:-1]:
                self.drop(lease, "stale")

    def drop_unwritten(self) -> None:
        """Drop all frames that the encode worker does not have."""
        for lease in self._stream.leases:
            if not lease.is_at_writer:
                self.drop(lease, "stopped")

    def drop_all(self) -> list[Slot]:
        """Drop all frames, and return the slots that the encode worker may still be reading."""
        self.drop_unwritten()
        leases = list(self._stream.leases)
        for lease in leases:
            self.drop(lease, "stopped")
        return [lease.slot for lease in leases]

    def release_slot(self, lease: Lease) -> None:
        """Return the slot to the decoder, unless a worker may still be using it."""
        if lease.state is LeaseState.ABANDONED:
            return
        if self._stream.phase is Phase.CLOSED:
            self._context.slots.give_back([lease.slot])
        else:
            self._decoder.take_slot(lease)

    def _waiting(self) -> list[Lease]:
        """Return the frames that may be dropped and that no worker has, oldest first."""
        return [
            lease
            for lease in self._stream.leases
            if lease.state is LeaseState.WAITING and not lease.done_before
        ]
