"""What sinks that need no new file know of their parts."""

from fractions import Fraction

from icstream.stages import FrameMeta
from icstream.stages.sinks.parts import PartList


def test_frames_are_counted_over_all_parts_and_in_each() -> None:
    parts = PartList("lines.jsonl")
    metas = [FrameMeta("s", n, n, Fraction(1, 25), (64, 96)) for n in range(5)]
    parts.count(metas[0], 3)
    parts.begin_part()
    parts.count(metas[3])
    parts.count(metas[4])
    assert parts.num_frames == 5
    assert [(part.first_index, part.num_frames) for part in parts.all()] == [(0, 3), (3, 2)]
