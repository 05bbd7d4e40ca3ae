"""Packets that are left out: what comes of the others is as PyAV decodes it without any loss."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from icstream.stages import Frame, FrameAccounting, Gap, Item
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.decode.left_out import LeftOut
from support.clips import make_clip, moving_image


def read(
    path: Path, *left_out: tuple[int, int], num_loops: int = 1
) -> tuple[list[Item], FrameAccounting]:
    (spec,) = find_sources([str(path)])
    accounting = FrameAccounting()
    entries = [LeftOut(*entry) for entry in left_out]
    with open_source(spec, accounting=accounting, num_loops=num_loops, left_out=entries) as source:
        items = list(source)
    accounting.in_flight, accounting.encoded = 0, accounting.in_flight
    assert accounting.faults() == []
    return items, accounting


@pytest.mark.parametrize(
    ("after", "num_groups", "shown"),
    [
        (7, 1, [*range(7), *range(12, 24)]),
        (6, 1, [*range(6), *range(12, 24)]),
        (6, 2, [*range(6), *range(18, 24)]),
        (7, 32, [*range(7)]),
    ],
)
def test_packets_up_to_a_key_frame_are_counted_and_not_decoded(
    tmp_path: Path, after: int, num_groups: int, shown: list[int]
) -> None:
    # No B frames: packets come in the order of frames, a key frame every six.
    path = make_clip(tmp_path / "clip.mp4", pts=range(24), options={"bf": "0"})
    items, accounting = read(path, (after, num_groups))
    frames = [item for item in items if isinstance(item, Frame)]
    assert [frame.meta.pts for frame in frames] == shown
    assert accounting.undecodable == {"decoder crashed": 24 - len(shown)}
    assert sum(isinstance(item, Gap) for item in items) == 24 - len(shown)
    whole = [frame for frame in read(path)[0] if isinstance(frame, Frame)]
    with av.open(path) as file:
        assert len(whole) == sum(1 for _ in file.decode(video=0))
    for frame in frames:
        assert frame.meta.pts is not None
        assert np.array_equal(frame.image, whole[frame.meta.pts].image)  # type: ignore[arg-type]


def test_frames_that_the_decoder_holds_back_are_not_lost_with_what_is_left_out(
    tmp_path: Path,
) -> None:
    options = {"bf": "2", "b-adapt": "0"}
    path = make_clip(tmp_path / "clip.mp4", pts=range(24), options=options)
    with av.open(path) as file:
        order = [packet.pts for packet in file.demux(video=0) if packet.size]
    items, _ = read(path, (8, 1))
    shown = [item.meta.pts for item in items if isinstance(item, Frame)]
    assert set(shown) == {*order[:8], *order[12:]}


def test_in_a_recording_that_is_read_twice_only_the_packets_of_that_number_are_left_out(
    tmp_path: Path,
) -> None:
    path = make_clip(tmp_path / "clip.mp4", options={"bf": "0"})
    items, accounting = read(path, (12 + 8, 1), num_loops=2)
    shown = [item.meta.pts for item in items if isinstance(item, Frame)]
    assert shown == [*range(12), *range(8)]
    assert accounting.undecodable == {"decoder crashed": 4}


def test_of_images_each_is_left_out_alone(tmp_path: Path) -> None:
    for index in range(5):
        Image.fromarray(moving_image(index, (64, 64))).save(tmp_path / f"{index}.png")
    items, accounting = read(tmp_path, (1, 1), (3, 1))
    assert [item.meta.name for item in items if isinstance(item, Frame)] == ["0", "2", "4"]
    assert accounting.undecodable == {"decoder crashed": 2}
