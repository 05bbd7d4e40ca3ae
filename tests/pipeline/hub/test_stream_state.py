"""What is shown of how a source is doing."""

import time
from collections.abc import Callable
from fractions import Fraction

import pytest

from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import SourceChanged
from icstream.stages import FrameMeta
from icstream.stages.decode.find import find_sources
from icstream.stages.live.settings import LiveSettings

META = FrameMeta("synthetic", 0, 0, Fraction(1, 25), (64, 96))


def never(*_: int | None) -> Worker:
    raise AssertionError("no worker is needed")


def live_stream(plan: LivePlan) -> StreamState:
    (spec,) = find_sources(["synthetic:"])
    return StreamState(spec, never, never, resumes=False, plan=plan)


@pytest.mark.parametrize(
    "show",
    [
        lambda stream: stream.source.note_frame(META, time.monotonic()),
        lambda stream: stream.skip(0, "rate"),
    ],
)
def test_a_late_frame_does_not_hide_that_the_connection_is_lost(
    show: Callable[[StreamState], None],
) -> None:
    stream = live_stream(LivePlan(settings=LiveSettings(stall_s=0)))
    stream.source.note_change(SourceChanged("live", 1, None))
    stream.source.note_change(SourceChanged("backing off", 1, "gone"))
    show(stream)
    stream.source.watch()
    assert stream.source_status.state == "backing off"
    assert stream.source_status.last_frame_s is not None


def test_a_frame_ends_a_silence() -> None:
    stream = live_stream(LivePlan(settings=LiveSettings(stall_s=0)))
    stream.source.note_change(SourceChanged("live", 1, None))
    stream.source.note_frame(META, time.monotonic())
    stream.source.watch()
    silent = stream.source_status.state
    stream.source.note_frame(META, time.monotonic())
    assert [silent, stream.source_status.state] == ["stalled", "live"]


def test_frames_that_fail_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    stream = live_stream(LivePlan())
    for index in range(5000):
        stream.note_failure(index, None, "too many sizes", "too many sizes")
    assert len(caplog.records) == 101
    assert "frame 99 failed: too many sizes" in caplog.text
    assert "further failed frames are counted but not logged" in caplog.text
    assert len(stream.gaps) == 1000
