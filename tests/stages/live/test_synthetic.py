"""The camera that is not there: everything follows from its seed."""

from collections.abc import Iterator

import numpy as np
import pytest

from icstream.model import SourceError
from icstream.stages import FrameAccounting
from icstream.stages.decode.synthetic_spec import parse_synthetic
from icstream.stages.live import LiveFrame, LostFrame
from icstream.stages.live.synthetic import SyntheticCamera, SyntheticScene


def things(argument: str, accounting: FrameAccounting) -> Iterator[LiveFrame | LostFrame | None]:
    scene = SyntheticScene(parse_synthetic(f"synthetic:pace=fast,{argument}"))
    with SyntheticCamera(scene, accounting=accounting, wait_until=lambda _: None) as camera:
        yield from camera


def test_the_same_seed_gives_the_same_faults_and_images() -> None:
    argument = "frames=60,loss=0.2,badpts=0.2,seed=4"
    one, other = (list(things(argument, FrameAccounting())) for _ in range(2))
    assert [type(thing) for thing in one] == [type(thing) for thing in other]
    for a, b in zip(one, other, strict=True):
        if isinstance(a, LiveFrame):
            assert isinstance(b, LiveFrame)
            assert a.pts == b.pts
            assert np.array_equal(a.to_rgb(), b.to_rgb())
    assert any(isinstance(thing, LostFrame) for thing in one)
    assert any(isinstance(thing, LiveFrame) and thing.pts is None for thing in one)


def test_it_counts_what_it_sends_and_what_it_loses() -> None:
    accounting = FrameAccounting()
    found = list(things("frames=50,loss=0.3", accounting))
    lost = sum(isinstance(thing, LostFrame) for thing in found)
    assert (accounting.packets, accounting.undecodable["lost"]) == (50, lost)
    assert lost > 0


def test_the_image_moves_and_changes_its_size_as_configured() -> None:
    frames = [
        thing
        for thing in things("frames=6,resize=3:96x64", FrameAccounting())
        if isinstance(thing, LiveFrame)
    ]
    assert [frame.size for frame in frames] == [(240, 320)] * 3 + [(64, 96)] * 3
    assert all(frame.to_rgb().shape == (*frame.size, 3) for frame in frames)
    assert not np.array_equal(frames[0].to_rgb(), frames[1].to_rgb())


def test_frames_of_a_stall_are_never_sent() -> None:
    frames = [thing for thing in things("frames=30,rate=10,stall=10:1", FrameAccounting())]
    numbers = [thing.pts for thing in frames if isinstance(thing, LiveFrame)]
    assert numbers == [*range(10), *range(20, 30)]


def test_connections_are_refused_and_closed_as_configured() -> None:
    scene = SyntheticScene(parse_synthetic("synthetic:pace=fast,frames=7,cut=3,offline=1"))
    accounting, numbers, faults = FrameAccounting(), [], 0
    for _ in range(4):
        try:
            camera = SyntheticCamera(scene, accounting=accounting, wait_until=lambda _: None)
            for thing in camera:
                assert isinstance(thing, LiveFrame)
                numbers.append(thing.pts)
        except SourceError:
            faults += 1
    assert numbers == list(range(7))
    assert faults == 3  # one refusal, two cuts


def test_frames_come_at_their_own_pace_and_up_to_so_much_later() -> None:
    waits: list[float] = []
    scene = SyntheticScene(parse_synthetic("synthetic:rate=10,frames=20,jitter=0.05"))
    list(SyntheticCamera(scene, accounting=FrameAccounting(), wait_until=waits.append))
    late = [wait - number / 10 for number, wait in enumerate(waits)]
    assert all(0 <= seconds <= 0.05 for seconds in late)
    assert max(late) > 0.02
    assert scene.next_frame == pytest.approx(20)
