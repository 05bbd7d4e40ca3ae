"""Connections that fail and return, as the decode worker sees them."""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Self

import numpy as np
import pytest

from icstream.model import SourceError
from icstream.pipeline import segment
from icstream.pipeline.live.open_camera import camera_opener
from icstream.pipeline.live.reconnecting_source import (
    OpenCamera,
    PendingFrame,
    ReconnectingSource,
    SourceItem,
)
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import ResumeState, SourceAccounting, SourceChanged
from icstream.stages import FormatChange, FrameAccounting, Gap
from icstream.stages.decode.find import find_sources
from icstream.stages.live import AwaitsKeyFrame, Backoff, Camera, LiveFrame, LiveSettings, LostFrame

PLAN = LivePlan(settings=LiveSettings(backoff=Backoff(first_s=0.01, cap_s=0.02)))


def source_of(
    open_camera: OpenCamera,
    *,
    accounting: FrameAccounting,
    plan: LivePlan = PLAN,
    before: ResumeState | None = None,
) -> ReconnectingSource:
    before = before or ResumeState(SourceAccounting.of(FrameAccounting()), None, 0)
    return ReconnectingSource(
        "s", open_camera, plan=plan, accounting=accounting, before=before, stop=threading.Event()
    )


def items_of(
    source: str, accounting: FrameAccounting, **options: LivePlan | ResumeState
) -> list[SourceItem]:
    (spec,) = find_sources([source])
    opener = camera_opener(spec, LiveSettings(), accounting, threads=1)
    return list(source_of(opener, accounting=accounting, **options))  # type: ignore[arg-type]


def states(items: list[SourceItem]) -> list[str]:
    return [item.state for item in items if isinstance(item, SourceChanged)]


def frames(items: list[SourceItem]) -> list[PendingFrame]:
    return [item for item in items if isinstance(item, PendingFrame)]


def test_a_source_that_is_offline_and_cut_is_connected_again_until_it_ends() -> None:
    accounting = FrameAccounting()
    items = items_of("synthetic:pace=fast,frames=7,cut=3,offline=2", accounting)
    live = ["connecting", "live"]
    assert states(items) == [
        *["connecting", "backing off"] * 2,
        *[*live, "backing off"] * 2,
        *[*live, "ended"],
    ]
    assert [frame.meta.index for frame in frames(items)] == list(range(7))
    changes = [(item.index, item.reason) for item in items if isinstance(item, FormatChange)]
    assert changes == [(3, "connected again"), (6, "connected again")]
    assert accounting.decoded == accounting.packets == 7


def test_changes_come_together_and_before_their_frame() -> None:
    items = items_of("synthetic:pace=fast,frames=5,cut=3,resize=3:96x64", FrameAccounting())
    (change,) = (item for item in items if isinstance(item, FormatChange))
    assert change.reason == "connected again, size 320x240 -> 96x64"
    following = items[items.index(change) + 1]
    assert isinstance(following, PendingFrame)
    assert following.meta.index == change.index == 3


def test_another_process_goes_on_where_the_last_one_was() -> None:
    accounting = FrameAccounting(packets=9, decoded=9)
    before = ResumeState(SourceAccounting.of(accounting), (Fraction(50), 0.0), 4)
    items = items_of("synthetic:pace=fast,frames=2", accounting, before=before)
    assert [frame.meta.index for frame in frames(items)] == [9, 10]
    assert all(frame.meta.pts * frame.meta.time_base > 50 for frame in frames(items))  # type: ignore[operator]
    assert [item.connections for item in items if isinstance(item, SourceChanged)] == [4, 5, 5]
    assert any(isinstance(item, FormatChange) for item in items)


def test_lost_images_are_gaps_and_frames_beyond_the_rate_are_marked() -> None:
    plan = LivePlan(settings=LiveSettings(max_fps=5))
    items = items_of("synthetic:pace=fast,frames=40,loss=0.2", FrameAccounting(), plan=plan)
    assert any(isinstance(item, Gap) for item in items)
    kept = [frame.meta.pts for frame in frames(items) if frame.is_kept]
    cells = [pts * 5 // 10 for pts in kept if pts is not None]
    assert cells == sorted(set(cells))
    assert len(kept) < len(frames(items))


class Silent:
    """Sends packets that never become an image."""

    comes_in_bursts = may_be_silent = False
    max_ahead_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        while True:
            yield None


def test_a_source_that_sends_and_shows_nothing_is_given_up() -> None:
    plan = LivePlan(settings=replace(PLAN.settings, read_timeout_s=0.05))
    source = source_of(lambda _n, _w: Silent(), accounting=FrameAccounting(), plan=plan)
    found = [item for item, _ in zip(source, range(4), strict=False)]
    (error,) = {item.error for item in found if isinstance(item, SourceChanged) and item.error}
    assert error is not None
    assert "no frame for" in error


class KeyFrameComesLate(Silent):
    """Sends packets that cannot be used, and then an image."""

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        for _ in range(8):
            time.sleep(0.02)
            yield AwaitsKeyFrame()
        yield LiveFrame(0, Fraction(1), (4, 4), lambda: np.zeros((4, 4, 3), np.uint8))


def test_packets_without_a_key_frame_keep_the_connection_and_are_reported() -> None:
    plan = LivePlan(settings=replace(PLAN.settings, read_timeout_s=0.05))
    source = source_of(lambda _n, _w: KeyFrameComesLate(), accounting=FrameAccounting(), plan=plan)
    items = list(source)
    assert states(items) == ["connecting", "connecting", "live", "ended"]
    (error,) = (item.error for item in items if isinstance(item, SourceChanged) and item.error)
    assert re.match(r"s: packets arrive, but no key frame for 0\.\d s; ", error)


class Burst(Silent):
    """Sends half a second of images at once."""

    comes_in_bursts = True

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | None]:
        for number in range(6):
            yield LiveFrame(
                number, Fraction(1, 10), (64, 64), lambda: np.zeros((64, 64, 3), np.uint8)
            )


def test_images_that_come_in_bursts_are_handed_on_at_the_pace_they_were_taken() -> None:
    plan = LivePlan(freshest=True)
    found = frames(list(source_of(lambda _n, _w: Burst(), accounting=FrameAccounting(), plan=plan)))
    assert found[-1].arrived - found[0].arrived >= 0.49
    steps = np.diff([frame.arrived for frame in found])
    assert steps.min() > 0


def test_waits_grow_up_to_the_cap_and_differ() -> None:
    backoff, dice = Backoff(first_s=1, factor=2, cap_s=10), random.Random(1)
    for failures, due in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (5000, 10)):
        waits = {backoff.delay_s(failures, dice) for _ in range(50)}
        assert all(due / 2 <= wait <= due for wait in waits)
        assert len(waits) == 50


def test_faults_of_icstream_are_not_taken_for_the_camera_s() -> None:
    def broken(_number: int, _wait: Callable[[float], None]) -> Camera:
        raise KeyError("x")

    with pytest.raises(KeyError):
        list(source_of(broken, accounting=FrameAccounting()))


def test_a_live_source_can_be_read_in_a_loop() -> None:
    accounting = FrameAccounting()
    found = list(
        segment("synthetic:pace=fast,frames=5,cut=3", weights="streets", accounting=accounting)
    )
    assert [result.index for result in found] == list(range(5))
    assert all(result.class_ids.shape == (240, 320) for result in found)
    assert (accounting.decoded, accounting.encoded, accounting.faults()) == (5, 5, [])


def test_the_reason_of_a_refused_connection_is_reported() -> None:
    def refuse(_number: int, _wait: Callable[[float], None]) -> Camera:
        raise SourceError("camera: no")

    source = source_of(refuse, accounting=FrameAccounting())
    found = [item for item, _ in zip(source, range(2), strict=False)]
    assert found == [
        SourceChanged("connecting", 0, None),
        SourceChanged("backing off", 0, "camera: no"),
    ]
