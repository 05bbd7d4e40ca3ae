"""Packets of a recording that are skipped because they crash the decoder."""

from collections.abc import Sequence
from dataclasses import dataclass

REASON = "decoder crashed"
"""The reason under which such packets are counted as undecodable."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Consecutive packets that are counted but not decoded."""

    after: int
    """The number of the last packet before them, as counted in `packets`."""
    num_groups: int
    """The number of key frames to skip, each with all packets up to the next; the first group may
    lack its key frame."""


class LeftOutPackets:
    """The packets to skip in one reading, queried one after another."""

    def __init__(self, left_out: Sequence[LeftOut]) -> None:
        self._num_groups = {entry.after + 1: entry.num_groups for entry in left_out}
        """The number of groups to skip, by the number of their first packet."""
        self._num_left = 0

    def begin_with(self, number: int) -> bool:
        """Return whether the packet with a number is the first of some that are skipped."""
        return number in self._num_groups

    def cover(self, number: int, *, is_key: bool) -> bool:
        """Return whether the next packet, with this number, is skipped."""
        if number in self._num_groups:
            self._num_left = self._num_groups[number]
        elif is_key:
            self._num_left = max(0, self._num_left - 1)
        return self._num_left > 0
