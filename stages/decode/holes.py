"""Places of a recording in which FFmpeg finds nothing and goes on behind."""

from collections import deque
from itertools import pairwise

from av.packet import Packet
from av.video.stream import VideoStream

_DENSE = frozenset({"matroska", "webm", "flv"})
"""Formats in which packets follow one another with only a few bytes between them."""
_MIN_BYTES = 16 * 2**10
"""Larger gaps between packets of those formats are no headers."""
_MIN_STEPS = 1.5
"""How many usual steps a step in time around a hole must have if frames are missing there."""
_LOOK_AROUND = 16
"""Frames before and after a hole that are looked at; no codec reorders more."""


class HoleWatch:
    """Finds holes from where packets lie, and what is missing there from their times."""

    def __init__(self, format_name: str) -> None:
        """Begin at the beginning of a recording.

        Args:
            format_name: FFmpeg's name of its container.
        """
        self._is_dense = not _DENSE.isdisjoint(format_name.split(","))
        self._end: int | None = None
        """Where the last packet ends, in bytes."""
        self._times: deque[int] = deque(maxlen=_LOOK_AROUND)
        """When the last frames are shown; while there is a hole among them, all since."""
        self._num_due: int | None = None
        """Frames to come until the surroundings of a hole are known; None without a hole."""
        self._missing = 0

    @property
    def missing(self) -> int:
        """How much of the video is missing in holes, in units of its time base."""
        self._close()
        return self._missing

    def resynced(self) -> None:
        """Note that the demuxer had to look for the next packet."""
        self._times = deque(self._times)
        self._num_due = _LOOK_AROUND

    def see(self, packet: "Packet[VideoStream]", *, is_video: bool) -> None:
        """Note a packet, of whatever stream."""
        if self._is_dense and packet.pos is not None and packet.pos >= 0:
            if self._end is not None and packet.pos - self._end > _MIN_BYTES:
                self.resynced()
            self._end = packet.pos + packet.size
        if not is_video or packet.pts is None:
            return
        self._times.append(packet.pts)
        if self._num_due is not None:
            self._num_due -= 1
            if not self._num_due:
                self._close()

    def _close(self) -> None:
        """Measure the largest step around a hole, if there is one."""
        if self._num_due is None:
            return
        times = sorted(self._times)
        steps = sorted(after - before for before, after in pairwise(times))
        if steps and steps[-1] > _MIN_STEPS * (usual := steps[len(steps) // 2]):
            self._missing += steps[-1] - usual
        self._times = deque(times, maxlen=_LOOK_AROUND)
        self._num_due = None
