"""Events against a plain reading of the rules, frame by frame, and after any interruption."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from icstream.model import CAMVID, ConfigError
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import EventLines, EventRuleSettings, EventSettings

ROAD = CAMVID.names.index("Road")


def rule(name: str, **values: Any) -> EventRuleSettings:
    return EventRuleSettings(**{"name": name, "class_name": "Road", **values})


def frame(
    index: int, percent: int, *, pts: int | None = None, clock: bool = True
) -> SegmentedFrame:
    """A frame with that much road, every tenth of a second."""
    ids = np.zeros((10, 10), np.uint8)
    ids.flat[:percent] = ROAD
    time = (index if pts is None else pts) if clock else None
    meta = FrameMeta("s", index, time, Fraction(1, 10), (10, 10))
    return SegmentedFrame(meta, ids)


def events(folder: Path, rules: list[EventRuleSettings], frames: list[SegmentedFrame]) -> list[Any]:
    sink = EventLines(folder, CAMVID, EventSettings(rules=tuple(rules)))
    for item in frames:
        sink.write(item)
    sink.close()
    return lines(folder)


def lines(folder: Path) -> list[Any]:
    found = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    return [(line["event"], line["rule"], line["index"]) for line in found]


def test_an_event_begins_after_its_time_and_ends_behind_the_hysteresis(tmp_path: Path) -> None:
    shares = [0, 50, 50, 0, 50, 50, 50, 50, 45, 45, 35, 45, 35, 35, 35, 0]
    busy = rule("busy", above=0.4, for_s=0.3, clear=0.4, clear_for_s=0.2)
    frames = [frame(index, share) for index, share in enumerate(shares)]
    # Three tenths from frame 4 on; 35 % at frame 10 is over too soon.
    assert events(tmp_path, [busy], frames) == [("begin", "busy", 7), ("end", "busy", 14)]
    first = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[0])
    assert first == {
        "event": "begin",
        "rule": "busy",
        "class": "Road",
        "share": 0.5,
        "stream": "s",
        "index": 7,
        "pts": 7,
        "time_base": "1/10",
        "seconds": 0.7,
    }


def test_between_the_two_limits_nothing_changes(tmp_path: Path) -> None:
    low = rule("low", below=0.2, clear=0.3)
    shares = [40, 25, 19, 25, 29, 30, 25, 40, 20, 19]
    frames = [frame(index, share) for index, share in enumerate(shares)]
    assert events(tmp_path, [low], frames) == [
        ("begin", "low", 2),
        ("end", "low", 5),
        ("begin", "low", 9),
    ]


def test_time_is_that_of_the_frames_and_not_their_number(tmp_path: Path) -> None:
    busy = rule("busy", above=0.4, for_s=1)
    slow = [frame(index, 50, pts=6 * index) for index in range(4)]
    assert events(tmp_path / "slow", [busy], slow) == [("begin", "busy", 2)]
    without_clock = [frame(index, 50, clock=False) for index in range(12)]
    assert events(tmp_path / "index", [busy], without_clock) == [("begin", "busy", 10)]


def test_where_time_jumps_back_waiting_begins_anew(tmp_path: Path) -> None:
    busy = rule("busy", above=0.4, for_s=0.5)
    times = [100, 101, 102, 0, 1, 2, 3, 4, 5]
    frames = [frame(index, 50, pts=pts) for index, pts in enumerate(times)]
    assert events(tmp_path, [busy], frames) == [("begin", "busy", 8)]


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_after_an_interruption_anywhere_the_same_is_written(tmp_path: Path, kept: int) -> None:
    random = np.random.default_rng(1)
    shares = np.clip(np.cumsum(random.integers(-12, 13, 60)) + 50, 0, 100).tolist()
    frames = [frame(index, share) for index, share in enumerate(shares)]
    rules = [
        rule("busy", above=0.5, for_s=0.2, clear=0.45),
        rule("low", below=0.4, for_s=0.1, clear_for_s=0),
    ]
    whole = events(tmp_path / "whole", rules, frames)
    assert len(whole) > 6
    folder = tmp_path / "cut"
    first = EventLines(folder, CAMVID, EventSettings(rules=tuple(rules)))
    for item in frames[: kept + 4]:
        first.write(item)  # and never closed
    assert (
        EventLines(folder, CAMVID, EventSettings(rules=tuple(rules))).restart_point(10**9)
        == kept + 4
    )
    second = EventLines(folder, CAMVID, EventSettings(rules=tuple(rules)))
    assert second.restart_point(kept) == kept
    if kept:
        second.skip(frames[0].meta, kept)
    for item in frames[kept:]:
        second.write(item)
    second.close()
    assert lines(folder) == whole
    for name in ("events.jsonl", "events.state"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    first.close()


def test_rules_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set output\.events\.rules"):
        EventLines(tmp_path, CAMVID, EventSettings())
    with pytest.raises(ConfigError, match="names the class 'Rode'; the weights have Sky"):
        EventLines(
            tmp_path, CAMVID, EventSettings(rules=(rule("x", above=0.1, class_name="Rode"),))
        )
