"""Repeated losses of a stream's decoders, and the packets skipped because of them."""

import logging

import zmq

from icstream.pipeline.hub.losses import LossesInOrder
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.wire.messages import CaughtUp
from icstream.stages.decode.left_out import LeftOut

log = logging.getLogger(__name__)

_MORE_GROUPS = 32
"""Factor by which more packet groups are skipped when fewer were not enough."""
_MAX_GROUPS = 2**20
"""More groups than any recording has."""


class DecoderLosses:
    """Tracks where the decoders of a stream are lost.

    Attributes:
        left_out: Packets that the next decoder must not decode.
    """

    def __init__(self, stream: StreamState) -> None:
        self.left_out: list[LeftOut] = []
        self._has_caught_up = False
        """Whether the decoder has reached the position of the lost one and reads on."""
        self._left_out_at = -1
        """Number of received frames when packets were last skipped."""
        self._stream = stream
        self._losses = LossesInOrder()

    @property
    def call_for_caution(self) -> bool:
        """Whether the decoder gets one slot at a time, so that its position is known."""
        return self._losses.calls_for_caution(self._stream.leases.num_ordered)

    def take_caught_up(self, _body: CaughtUp, _: list[zmq.Frame]) -> None:
        """Record that the decoder has read past the frames received before."""
        self._has_caught_up = True

    def add(self, lost: LostWorker, *, was_reading: bool) -> str | None:
        """Count a lost decoder, and return why the stream must end, if it must.

        Where decoders are lost after the same frame every time, the packets that follow it are
        skipped. A source without packets ends there.
        """
        stream, was_there = self._stream, self._has_caught_up and was_reading
        self._has_caught_up = False
        if stream.is_live or not was_there or stream.phase is not Phase.READING:
            return None
        place = stream.leases.num_ordered
        if not self._losses.add(place, crashed=lost.crashed).are_too_many:
            return None
        lost.worker.gain()
        if stream.spec.kind in ("video", "images") and self._leave_out(place):
            return None
        return f"{lost}, repeatedly at frame {place}"

    def _leave_out(self, place: int) -> bool:
        """Skip more packets; return False if there are no more."""
        after, num_groups, before = self._stream.accounting.packets, 1, self.left_out
        if place == self._left_out_at:  # fewer packets were not enough
            *before, last = before
            after, num_groups = last.after, last.num_groups * _MORE_GROUPS
        if num_groups > _MAX_GROUPS:
            return False
        log.warning(
            "%s: decoders crash after packet %d; skipping those that follow",
            self._stream.name,
            after,
        )
        self.left_out = [*before, LeftOut(after, num_groups)]
        self._left_out_at = place
        return True
