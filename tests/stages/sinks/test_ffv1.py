"""Our FFV1 encoder: FFmpeg's own encoder and decoder say what is right, byte for byte."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import MasksVideo, masks_video
from icstream.stages.sinks.ffv1 import (
    encode_by_ffmpeg,
    ffv1_encoder,
    learn_encoder,
    split_slices,
)
from icstream.stages.streets import Street

# FFmpeg cuts an image into more slices as it grows, and takes none of one column but of 1x1.
SIZES = (
    *((1, 1), (1, 2), (1, 7), (2, 2), (2, 3), (3, 2), (3, 3), (5, 4), (9, 7), (13, 2)),
    *((1, 500), (500, 2), (3, 1000), (64, 64), (65, 63), (63, 129), (240, 320), (288, 352)),
    *((289, 353), (360, 480), (541, 961), (540, 960), (721, 1279), (1024, 2048)),
)


def contents(size: tuple[int, int]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Return images of every kind, by name."""
    random = np.random.default_rng(size)
    height, width = size
    rows, columns = np.indices(size)
    yield "blank", np.zeros(size, np.uint8)
    yield "void", np.full(size, 255, np.uint8)
    yield "all values", random.integers(0, 256, size, np.uint8)
    yield "few classes", random.integers(0, 11, size, np.uint8)
    yield "far apart", random.choice(np.array([0, 127, 128, 255], np.uint8), size)
    yield "rare dots", ((random.random(size) < 0.002) * random.integers(1, 256)).astype(np.uint8)
    yield "rows", (rows % 5 * 60).astype(np.uint8)
    yield "columns", (columns % 7 * 40).astype(np.uint8)
    yield "slope", ((rows + 2 * columns) % 256).astype(np.uint8)
    soft = cv2.GaussianBlur(random.random(size).astype(np.float32), (0, 0), 9)
    levels = np.quantile(soft, np.linspace(0, 1, 12)[1:-1])
    yield "blobs", np.digitize(soft, levels).astype(np.uint8)
    boxes = np.zeros(size, np.uint8)
    for _ in range(40):
        top, left = random.integers(0, height), random.integers(0, width)
        down, right = random.integers(1, height + 1), random.integers(1, width + 1)
        boxes[top : top + down, left : left + right] = random.integers(0, 256)
    yield "boxes", boxes


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_packets_are_those_of_ffmpeg(size: tuple[int, int]) -> None:
    encoder = ffv1_encoder(size)
    assert encoder is not None
    packets = encode_by_ffmpeg([image for _, image in contents(size)])
    for (name, image), packet in zip(contents(size), packets, strict=True):
        assert encoder.encode(image) == packet, name


def test_small_images_of_every_shape_are_those_of_ffmpeg() -> None:
    random = np.random.default_rng(1)
    for height in range(1, 14):
        for width in range(2, 14):
            encoder = ffv1_encoder((height, width))
            assert encoder is not None
            images = [random.integers(0, n, (height, width), np.uint8) for n in (2, 4, 256)]
            assert list(map(encoder.encode, images)) == encode_by_ffmpeg(images)


@pytest.mark.parametrize("size", [(360, 480), (540, 960), (512, 1024)])
def test_streets_are_those_of_ffmpeg(size: tuple[int, int]) -> None:
    encoder = ffv1_encoder(size)
    assert encoder is not None
    streets = [Street(seed, size=size).render(3.0 * seed)[1] for seed in range(3)]
    assert list(map(encoder.encode, streets)) == encode_by_ffmpeg(streets)


def test_a_part_of_a_larger_image_is_encoded_as_its_copy() -> None:
    encoder = ffv1_encoder((50, 70))
    assert encoder is not None
    (_, whole), *_ = contents((100, 140))
    whole[10:60, 20:90] = np.random.default_rng(2).integers(0, 9, (50, 70), np.uint8)
    part = whole[10:60, 20:90]
    assert encoder.encode(part) == encoder.encode(part.copy())
    part.flags.writeable = False
    assert encoder.encode(part) == encoder.encode(part.copy())


def test_packets_that_are_not_as_foreseen_give_no_encoder() -> None:
    images = [image for _, image in contents((90, 120))]
    packets = encode_by_ffmpeg(images)
    assert learn_encoder(images, packets) is not None
    changed = bytes([packets[0][0] ^ 1]) + packets[0][1:]
    for first in (changed, packets[0][:-1], packets[0][1:], b"", bytes(40), packets[1]):
        assert learn_encoder(images, [first, *packets[1:]]) is None
    assert learn_encoder(images, [*packets[:-1], packets[0]]) is None


def test_slices_are_found_by_their_footers() -> None:
    (_, image), *_ = contents((90, 120))
    (packet,) = encode_by_ffmpeg([image])
    slices = split_slices(packet)
    assert len(packet) == sum(map(len, slices)) + 8 * len(slices)
    assert split_slices(packet[1:]) == split_slices(packet[:-1]) == split_slices(b"") == []


def frames(size: tuple[int, int], *, with_clock: bool) -> list[SegmentedFrame]:
    return [
        SegmentedFrame(
            FrameMeta(
                "s", i, 7 + 3 * i + i % 2 if with_clock else None, Fraction(1001, 30000), size
            ),
            ids,
        )
        for i, (_, ids) in enumerate(contents(size))
    ]


def write(folder: Path, items: list[SegmentedFrame]) -> bytes:
    sink = MasksVideo(folder)
    for item in items:
        sink.write(item)
    sink.close()
    return (folder / "masks.mp4").read_bytes()


@pytest.mark.parametrize("with_clock", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (9, 7), (64, 96), (361, 641)])
def test_the_file_is_what_ffmpeg_alone_would_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], with_clock: bool
) -> None:
    items = frames(size, with_clock=with_clock)
    ours = write(tmp_path / "ours", items)
    monkeypatch.setattr(masks_video, "ffv1_encoder", lambda size: None)
    assert write(tmp_path / "ffmpeg", items) == ours
    with av.open(tmp_path / "ours" / "masks.mp4") as file:
        shown = [np.asarray(f.to_ndarray(format="gray")) for f in file.decode(video=0)]
    for got, (name, ids) in zip(shown, contents(size), strict=True):
        assert (got == ids).all(), name


def test_each_part_has_the_encoder_of_its_size(tmp_path: Path) -> None:
    sink = MasksVideo(tmp_path)
    for size in ((64, 96), (48, 32)):
        sink.begin_part()
        for item in frames(size, with_clock=True):
            sink.write(item)
    sink.close()
    for name, size in (("masks.mp4", (64, 96)), ("masks.0001.mp4", (48, 32))):
        with av.open(tmp_path / name) as file:
            packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
        assert packets == encode_by_ffmpeg([ids for _, ids in contents(size)])
