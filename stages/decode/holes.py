"""Detection of holes: places of a recording that FFmpeg skips because it finds nothing there."""

from collections import deque
from itertools import pairwise

from av.packet import Packet
from av.video.stream import VideoStream

_DENSE = frozenset({"matroska", "webm", "flv"})
"""The formats whose packets are separated by only a few bytes."""
_MIN_BYTES = 16 * 2**10
"""The smallest gap between packets of those formats that cannot be a header, in bytes."""
_MIN_STEPS = 1.5
"""The smallest step in time around a hole that means missing frames, in usual steps."""
_LOOK_AROUND = 16
"""The number of frames examined before and after a hole; no codec reorders more."""


class HoleWatch:
    """Detection of holes by the positions of packets, and of missing frames by their times."""

    def __init__(self, format_name: str) -> None:
        """Start at the beginning of a recording.

        Args:
            format_name: FFmpeg's name of the container format.
        """
        self._is_dense = not _DENSE.isdisjoint(format_name.split(","))
        self._end: int | None = None
        """The end of the last packet, in bytes."""
        self._times: deque[int] = deque(maxlen=_LOOK_AROUND)
        """The times of the last frames; while a hole is among them, of all since."""
        self._num_due: int | None = None
        """The number of frames to read until a hole can be measured; None without a hole."""
        self._missing = 0

    @property
    def missing(self) -> int:
        """The duration missing in holes, in units of the time base."""
        self._close()
        return self._missing

    def resynced(self) -> None:
        """Record that the demuxer had to search for the next packet."""
        self._times = deque(self._times)
        self._num_due = _LOOK_AROUND

    def see(self, packet: "Packet[VideoStream]", *, is_video: bool) -> None:
        """Record a packet of any stream."""
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
