"""Detection of losses within frames of a transport stream, which FFmpeg's parsers do not report."""

_SYNC = b"\x47"
_STRIDES = ((188, 0), (192, 4))
"""The bytes from packet to packet, and those before the sync byte (a time in M2TS)."""
_NUM_SYNCS = 4
"""The number of consecutive packets that identify a transport stream."""
_NULL_PID = 0x1FFF


class LossWatch:
    """A check of the continuity counters of all packets (ISO/IEC 13818-1, section 2.4.3.3).

    A jump of the counter inside a frame is a loss in that frame. At the beginning of a frame, it
    may also mean that recordings were concatenated.

    Attributes:
        damaged: The byte offsets of frames with losses.
    """

    def __init__(self) -> None:
        self.damaged: set[int] = set()
        self._next = 0
        """The offset of the next bytes to examine."""
        self._rest = b""
        self._stride, self._lead = 0, 0
        self._is_other = False
        """Whether this is not a transport stream."""
        self._counters: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        """The offset of the current frame, by PID."""

    def see(self, offset: int, data: bytes) -> None:
        """Examine bytes read at an offset; FFmpeg may read some twice, or out of order."""
        new = data[self._next - offset :]
        if self._is_other or offset > self._next or not new:
            return
        self._next += len(new)
        data = self._rest + new
        begin, at = self._next - len(data), 0
        if not self._stride:
            at = self._find_packets(data)
        while at + self._stride <= len(data) and not self._is_other:
            sync = at + self._lead
            if data[sync : sync + 1] == _SYNC:
                self._take(data[sync : sync + 6], begin + at)
                at += self._stride
            else:
                found = data.find(_SYNC, sync + 1)
                at = len(data) if found < 0 else found - self._lead
        self._rest = data[at:]

    def _find_packets(self, data: bytes) -> int:
        """Determine the stride of packets, and return the offset of the first."""
        for stride, lead in _STRIDES:
            for at in range(stride):
                syncs = data[at + lead : at + lead + _NUM_SYNCS * stride : stride]
                if syncs == _SYNC * _NUM_SYNCS:
                    self._stride, self._lead = stride, lead
                    return at
        self._is_other = True
        return 0

    def _take(self, head: bytes, place: int) -> None:
        pid, counter = (head[1] & 0x1F) << 8 | head[2], head[3] & 0xF
        has_payload, has_adaptation = head[3] & 0x10, head[3] & 0x20
        if pid == _NULL_PID or not has_payload:
            return  # the counter does not advance
        last = self._counters.get(pid)
        self._counters[pid] = counter
        if head[1] & 0x40:
            self._starts[pid] = place
            last = None
        is_announced = has_adaptation and head[4] and head[5] & 0x80
        is_lost = last is not None and counter not in (last, (last + 1) & 0xF) and not is_announced
        if pid in self._starts and (is_lost or head[1] & 0x80):
            self.damaged.add(self._starts[pid])
