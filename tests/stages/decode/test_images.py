"""Images as a stream."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import moving_image
from PIL import Image

from icstream.model import SourceError
from icstream.stages import End, FormatChange, Frame, FrameAccounting, Gap, Item
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources


def decode(folder: Path) -> tuple[list[Item], FrameAccounting]:
    (spec,) = find_sources([str(folder)])
    accounting = FrameAccounting()
    with open_source(spec, accounting=accounting) as source:
        assert source.info.clock == "index"
        return list(source), accounting


def test_images_come_in_order_with_their_names(tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(moving_image(index, (70, 90))).save(tmp_path / f"f{index}.png")
    items, accounting = decode(tmp_path)
    frames = [item for item in items if isinstance(item, Frame)]
    assert [frame.meta.name for frame in frames] == ["f0", "f1", "f2"]
    assert {(frame.meta.pts, frame.meta.time_base) for frame in frames} == {(None, Fraction(1, 25))}
    for index, frame in enumerate(frames):
        assert np.array_equal(np.asarray(frame.image), moving_image(index, (70, 90)))
    assert (accounting.packets, accounting.decoded, accounting.in_flight) == (3, 3, 3)


def test_images_that_differ_in_their_suffix_alone_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("left.jpg", "left.png", "b.png"):
        Image.fromarray(moving_image(0, (64, 64))).save(tmp_path / name)
    items, _ = decode(tmp_path)
    names = [item.meta.name for item in items if isinstance(item, Frame)]
    assert names == ["b", "left", "left-2"]


def test_a_broken_image_is_a_gap_and_the_rest_goes_on(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        Image.fromarray(moving_image(0, (64, 64))).save(tmp_path / f"{name}.jpg")
    content = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "d.png").write_bytes(b"no image")
    items, accounting = decode(tmp_path)
    assert [type(item) for item in items] == [Frame, Gap, Frame, Gap, End]
    assert accounting.undecodable == {"unreadable image": 2}
    assert (accounting.packets, accounting.decoded) == (4, 2)


def test_another_size_is_announced(tmp_path: Path) -> None:
    Image.fromarray(moving_image(0, (64, 64))).save(tmp_path / "1.png")
    Image.fromarray(moving_image(0, (80, 100))).save(tmp_path / "2.png")
    items, _ = decode(tmp_path)
    assert [type(item) for item in items] == [Frame, FormatChange, Frame, End]


def test_a_folder_of_broken_images_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(SourceError, match="none of its 1 images can be read"):
        decode(tmp_path)


def test_images_before_the_first_that_can_be_read_are_gaps(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    for name, size in (("2.png", (64, 80)), ("3.png", (64, 80)), ("4.mpo", (80, 64))):
        Image.fromarray(moving_image(0, size)).save(tmp_path / name, format="PNG")
    items, accounting = decode(tmp_path)
    assert [type(item) for item in items] == [Gap, Frame, Frame, FormatChange, Frame, End]
    for item in items[1:3]:
        assert isinstance(item, Frame)
        assert np.array_equal(np.asarray(item.image), moving_image(0, (64, 80)))
    assert (accounting.packets, accounting.decoded) == (4, 3)
