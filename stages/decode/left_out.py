"""Packets that a recording's source leaves out, as decoders do not survive them."""

from collections.abc import Sequence
from dataclasses import dataclass

REASON = "decoder crashed"
"""As which such packets are counted as undecodable."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Packets in a row that are counted and not decoded."""

    after: int
    """The number of the last packet before them, as counted in `packets`."""
    num_groups: int
    """How many key frames are left out, each with all packets up to the next; the first group may
    begin without one."""


class LeftOutPackets:
    """Tells the packets of one reading that are left out, asked for one after another."""

    def __init__(self, left_out: Sequence[LeftOut]) -> None:
        self._num_groups = {entry.after + 1: entry.num_groups for entry in left_out}
        """Of those that begin with a packet of that number."""
        self._num_left = 0

    def begin_with(self, number: int) -> bool:
        """Return whether a packet of that number is the first of some that are left out."""
        return number in self._num_groups

    def cover(self, number: int, *, is_key: bool) -> bool:
        """Return whether the next packet, of that number, is left out."""
        if number in self._num_groups:
            self._num_left = self._num_groups[number]
        elif is_key:
            self._num_left = max(0, self._num_left - 1)
        return self._num_left > 0
