"""What is told of how a source is doing."""

import time
from collections.abc import Callable
from fractions import Fraction

import pytest

from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.stream_state import Stream
from icstream.pipeline.plan.live import Pace
from icstream.pipeline.wire.messages import Condition
from icstream.stages import FrameMeta
from icstream.stages.decode.find import find_sources

META = FrameMeta("synthetic", 0, 0, Fraction(1, 25), (64, 96))


def never(*_: int | None) -> Worker:
    raise AssertionError("no worker is needed")


def live_stream(pace: Pace) -> Stream:
    (spec,) = find_sources(["synthetic:"])
    return Stream(spec, never, never, resumes=False, pace=pace)


@pytest.mark.parametrize(
    "show",
    [
        lambda stream: stream.note_picture(META, time.monotonic()),
        lambda stream: stream.skip(0, "rate"),
    ],
)
def test_a_late_frame_does_not_hide_that_the_connection_is_lost(
    show: Callable[[Stream], None],
) -> None:
    stream = live_stream(Pace(stall_s=0))
    stream.note_condition(Condition("live", 1, None))
    stream.note_condition(Condition("backing off", 1, "gone"))
    show(stream)
    stream.watch()
    assert stream.health.state == "backing off"
    assert stream.health.last_frame is not None


def test_a_frame_ends_a_silence() -> None:
    stream = live_stream(Pace(stall_s=0))
    stream.note_condition(Condition("live", 1, None))
    stream.note_picture(META, time.monotonic())
    stream.watch()
    silent = stream.health.state
    stream.note_picture(META, time.monotonic())
    assert [silent, stream.health.state] == ["stalled", "live"]
