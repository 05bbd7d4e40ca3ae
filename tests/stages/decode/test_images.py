"""Images as a stream."""

import os
import struct
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from icstream.model import SourceError
from icstream.stages import End, FormatChange, Frame, FrameAccounting, Gap, Item, image_pages
from icstream.stages.decode import open_source
from icstream.stages.decode.find import PagesName, find_sources
from support.clips import moving_image


def decode(folder: Path, *, pages: PagesName = "first") -> tuple[list[Item], FrameAccounting]:
    (spec,) = find_sources([str(folder)])
    spec = replace(spec, pages=pages)
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
    reasons = [item.reason for item in items if isinstance(item, Gap)]
    assert reasons[0].startswith("unreadable image b.jpg: the image is damaged or cut off (")
    assert reasons[1].startswith("unreadable image d.png: no image in one of the formats AVIF, ")
    assert (accounting.packets, accounting.decoded) == (4, 2)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_that_are_cut_off_and_filled_up_are_gaps(tmp_path: Path, progressive: bool) -> None:
    image = Image.fromarray(moving_image(0, (64, 64)))
    image.save(tmp_path / "a.jpg", progressive=progressive)
    whole = (tmp_path / "a.jpg").read_bytes()
    cut = whole[: len(whole) * 3 // 4]
    (tmp_path / "b.jpg").write_bytes(cut + b"\xff\xd9")
    (tmp_path / "c.jpg").write_bytes(cut.ljust(len(whole), b"\0"))
    items, accounting = decode(tmp_path)
    assert [type(item) for item in items] == [Frame, Gap, Gap, End]
    assert accounting.undecodable == {"unreadable image": 2}


def test_a_further_image_of_an_mpo_that_is_filled_up_is_a_gap(tmp_path: Path) -> None:
    left, right = (Image.fromarray(moving_image(index, (64, 80))) for index in range(2))
    left.save(tmp_path / "a.mpo", "MPO", save_all=True, append_images=[right])
    assert [type(item) for item in decode(tmp_path, pages="all")[0]] == [Frame, Frame, End]
    content = (tmp_path / "a.mpo").read_bytes()
    (tmp_path / "a.mpo").write_bytes(content[:-200] + bytes(198) + b"\xff\xd9")
    items, _ = decode(tmp_path, pages="all")
    assert [type(item) for item in items] == [Frame, Gap, End]


def test_another_size_is_announced(tmp_path: Path) -> None:
    Image.fromarray(moving_image(0, (64, 64))).save(tmp_path / "1.png")
    Image.fromarray(moving_image(0, (80, 100))).save(tmp_path / "2.png")
    items, _ = decode(tmp_path)
    assert [type(item) for item in items] == [Frame, FormatChange, Frame, End]


def test_a_folder_of_broken_images_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(SourceError, match=r"none of its 1 images can be read \(a\.png: no image"):
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


def write_pages(path: Path, kind: str) -> None:
    first, *others = (Image.fromarray(moving_image(index, (64, 80))) for index in range(4))
    first.save(path, kind, save_all=True, append_images=others, **LOSSLESS.get(kind, {}))


LOSSLESS = {"WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_further_images_in_a_file_are_counted_or_read(tmp_path: Path, kind: str) -> None:
    write_pages(tmp_path / f"many.{kind.lower()}", kind)
    Image.fromarray(moving_image(5, (64, 80))).save(tmp_path / "one.png")
    items, accounting = decode(tmp_path)
    assert [type(item) for item in items] == [Frame, Frame, End]
    assert list(accounting.left_out.values()) == [3]
    assert accounting.complete
    items, accounting = decode(tmp_path, pages="all")
    frames = [item for item in items if isinstance(item, Frame)]
    assert not accounting.left_out
    assert [frame.meta.name for frame in frames] == [
        *("many", "many-page0002", "many-page0003", "many-page0004", "one")
    ]
    for index, frame in zip((0, 1, 2, 3, 5), frames, strict=True):
        assert np.array_equal(np.asarray(frame.image), moving_image(index, (64, 80)))
    assert (accounting.packets, accounting.faults()) == (5, [])


def test_previews_and_masks_are_no_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(moving_image(index, (64, 80))) for index in range(3)]
    for page, kind in zip(pages, (0, 1, 4), strict=True):  # TIFF 6.0, tag NewSubfileType
        page.encoderinfo = {"tiffinfo": {254: kind}}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert decode(tmp_path)[1].left_out == {}


def test_pages_that_are_cut_off_are_gaps(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.tif", "TIFF")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) * 3 // 4])
    for pages in ("first", "all"):
        items, accounting = decode(tmp_path, pages=pages)
        gaps = [item for item in items if isinstance(item, Gap)]
        assert any("a.tif, further pages" in gap.reason for gap in gaps)
        assert not accounting.complete


def test_the_number_of_images_that_a_file_states_reserves_nothing(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.png", "PNG")
    content = (tmp_path / "a.png").read_bytes()
    place = content.index(b"acTL")  # APNG: num_frames, num_plays, and their checksum
    stated = b"acTL" + struct.pack(">II", 2**31 - 1, 0)
    stated += struct.pack(">I", zlib.crc32(stated))
    (tmp_path / "a.png").write_bytes(content[:place] + stated + content[place + len(stated) :])
    for pages in ("first", "all"):
        items, accounting = decode(tmp_path, pages=pages)
        (gap,) = (item for item in items if isinstance(item, Gap))
        assert "a.png, further pages: more images than the allowed 10000" in gap.reason
        assert not accounting.complete


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_files_hold_no_more_images_than_allowed(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pages(tmp_path / f"many.{kind.lower()}", kind)
    monkeypatch.setattr(image_pages, "MAX_PAGES", 3)  # of four
    items, accounting = decode(tmp_path)
    assert [type(item) for item in items] == [Frame, Gap, End]
    assert not accounting.complete


def test_names_of_masks_are_readable_and_fit(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"caf\\xe9.jpg", 251 * b"a" + b".jpg", 251 * b"a" + b".png"):
        Image.new("RGB", (64, 64)).save(tmp_path / os.fsdecode(name))
    items, _ = decode(tmp_path)
    names = [item.meta.name or "" for item in items if isinstance(item, Frame)]
    assert len(set(names)) == 4
    assert set(names) >= {"caf\\xe9", "caf\\xe9-2", 251 * "a", 249 * "a" + "-2"}


def test_only_the_first_reasons_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "good.png")
    for number in range(15):
        (tmp_path / f"bad{number}.png").write_bytes(b"no image")
    _, accounting = decode(tmp_path)
    assert accounting.undecodable.total() == 15
    assert len(caplog.messages) == 10
    assert caplog.messages[-1].endswith("; further ones are in the report")
