"""Whether JPEGs are whole, by the blocks that their scans have."""

import io
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from icstream.stages.jpeg_scans import is_whole_jpeg
from support.clips import moving_image

START, END = b"\xff\xd8", b"\xff\xd9"
SCAN = b"\xff\xda"
KINDS: list[dict[str, Any]] = [
    {},
    {"subsampling": 0},
    {"subsampling": "4:1:1"},
    {"optimize": True},
    {"progressive": True},
    {"restart_marker_blocks": 3},
    {"progressive": True, "restart_marker_rows": 1},
]


def jpeg(
    size: tuple[int, int] = (65, 97), mode: str = "RGB", *, quality: int = 90, **options: Any
) -> bytes:
    noise = np.random.default_rng(1).integers(-20, 21, (*size, 3))
    image = np.clip(moving_image(3, size) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("quality", [10, 98])
def test_what_libjpeg_writes_is_whole(options: dict[str, Any], mode: str, quality: int) -> None:
    if mode != "RGB":
        options = {key: value for key, value in options.items() if key != "subsampling"}
    for size in ((1, 1), (8, 8), (65, 97), (120, 161)):
        data = jpeg(size, mode, quality=quality, **options)
        assert is_whole_jpeg(data)
        assert is_whole_jpeg(data + b"\xff\xda more")
        assert is_whole_jpeg(data[:-2])


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuvj422p", "yuvj444p", "gray"])
@pytest.mark.parametrize("codes", ["default", "optimal"])
def test_what_ffmpeg_writes_is_whole(pixels: str, codes: str) -> None:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=322x242:d=0.2"]
    command += ["-pix_fmt", pixels, "-huffman", codes, "-q:v", "3", "-c:v", "mjpeg"]
    output = subprocess.run([*command, "-f", "image2pipe", "-"], capture_output=True, check=True)
    files = [START + part for part in output.stdout.split(START)[1:]]
    assert len(files) == 5
    assert all(map(is_whole_jpeg, files))


def test_tables_may_be_left_out_as_in_motion_jpeg() -> None:
    data = jpeg()
    without = data
    while (at := without.find(b"\xff\xc4")) >= 0:  # ITU-T T.81, table B.1: DHT
        without = without[:at] + without[at + 2 + int.from_bytes(without[at + 2 : at + 4], "big") :]
    assert len(without) < len(data) - 400
    assert is_whole_jpeg(without)
    assert not is_whole_jpeg(without[:-200] + END)


def damaged(whole: bytes) -> Iterator[bytes]:
    """Yield versions of a JPEG that has been cut off at many places in its scans."""
    first = whole.find(SCAN) + 14
    for share in (0, 10, 50, 90, 95, 98):
        place = first + (len(whole) - 2 - first) * share // 100
        cut = whole[:place]
        yield cut
        yield cut + END  # as programs write it that lose their source
        yield cut.ljust(len(whole), b"\0")  # as a disk or buffer leaves it
        yield cut.ljust(len(whole) - 2, b"\0") + END
        yield cut[:-100] + bytes(100) + whole[place : -len(whole) // 99]  # a hole, and cut off


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_cut_off_is_not_whole_whatever_it_is_filled_with(
    options: dict[str, Any], mode: str
) -> None:
    if mode != "RGB":
        options = {key: value for key, value in options.items() if key != "subsampling"}
    assert not any(map(is_whole_jpeg, damaged(jpeg(mode=mode, **options))))


def test_a_progressive_file_needs_all_its_scans() -> None:
    data = jpeg(progressive=True)
    scans = [at for at in range(len(data)) if data.startswith(SCAN, at)]
    assert len(scans) > 5
    for at in scans:
        assert not is_whole_jpeg(data[:at] + END)


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 3}])
def test_libjpeg_says_the_same_of_bytes_that_are_missing(
    options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    data = jpeg(**options)
    first = data.find(SCAN) + 14
    dice = np.random.default_rng(2)
    found = []
    for _ in range(100):
        place = int(dice.integers(first, len(data) - 2))
        file = data[:place] + data[min(place + int(dice.integers(1, 200)), len(data) - 2) :]
        cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        said = capfd.readouterr().err
        # libjpeg's words for data that lacks blocks, and for codes and markers that cannot be.
        if any(text in said for text in ("premature end", "bad Huffman code", "instead of RST")):
            found.append(file)
    assert len(found) > 20
    assert not any(map(is_whole_jpeg, found))


def test_bytes_behind_the_last_block_are_no_damage_as_cameras_write_them() -> None:
    data = jpeg()
    for excess in (b"\0", b"\0" * 8, bytes(range(1, 200)), b"\xff\xd3" + bytes(range(1, 50))):
        assert is_whole_jpeg(data[:-2] + excess + END)


def test_all_loops_can_be_loaded_before_the_first_jpeg() -> None:
    program = """
from icstream.stages import jpeg_blocks, jpeg_scans
loops = [jpeg_blocks.walk_whole, jpeg_blocks.walk_first, jpeg_blocks.walk_refined]
assert [len(loop.signatures) for loop in loops] == [0, 0, 0]
jpeg_scans.load_loops()
assert [len(loop.signatures) for loop in loops] == [1, 1, 1]
jpeg_scans.load_loops()
assert [len(loop.signatures) for loop in loops] == [1, 1, 1]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_other_codings_are_whole_with_their_end() -> None:
    data = bytearray(jpeg())
    data[data.find(b"\xff\xc0") + 1] = 0xC9  # ITU-T T.81, table B.1: arithmetic coding
    assert is_whole_jpeg(bytes(data))
    assert not is_whole_jpeg(bytes(data[:-2]))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_any_bytes_are_whole_or_not(options: dict[str, Any]) -> None:
    data = jpeg((33, 40), **options)
    dice = np.random.default_rng(3)
    for _ in range(400):
        file = bytearray(data)
        for place in dice.integers(2, len(file), 4):
            file[place] = dice.integers(256)
        assert is_whole_jpeg(bytes(file)) in (True, False)
