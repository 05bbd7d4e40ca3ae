"""Decoders of one recording that are lost, and what is left out where that happens every time."""

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
"""By this factor more is left out where it was not enough."""
_MAX_GROUPS = 2**20
"""More than any recording has: nothing is left of it."""


class DecoderLosses:
    """Follows where the decoders of a stream are lost.

    Attributes:
        left_out: What the next decoder is not to decode.
    """

    def __init__(self, stream: StreamState) -> None:
        self.left_out: list[LeftOut] = []
        self._has_caught_up = False
        """Whether the decoder is where the lost one was, and reads on."""
        self._left_out_at = -1
        """How many frames had come when packets were left out last."""
        self._stream = stream
        self._losses = LossesInOrder()

    @property
    def call_for_caution(self) -> bool:
        """Whether the decoder gets one slot at a time, so that it is known where it is."""
        return self._losses.calls_for_caution(self._stream.leases.num_ordered)

    def take_caught_up(self, _body: CaughtUp, _: list[zmq.Frame]) -> None:
        """Note that the decoder has read past what was received before."""
        self._has_caught_up = True

    def add(self, lost: LostWorker, *, was_reading: bool) -> str | None:
        """Count a decoder that was lost; return why another would get no further, if that is so.

        Where decoders are lost behind one frame every time, the packets that follow it are left
        out. Of a source that has none, nothing more can be had.
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
        return f"{lost}, every time at frame {place}"

    def _leave_out(self, place: int) -> bool:
        """Leave out more; return False if there is no more."""
        after, num_groups, before = self._stream.accounting.packets, 1, self.left_out
        if place == self._left_out_at:  # that was not enough
            *before, last = before
            after, num_groups = last.after, last.num_groups * _MORE_GROUPS
        if num_groups > _MAX_GROUPS:
            return False
        log.warning("%s: decoders do not survive what follows packet %d", self._stream.name, after)
        self.left_out = [*before, LeftOut(after, num_groups)]
        self._left_out_at = place
        return True
