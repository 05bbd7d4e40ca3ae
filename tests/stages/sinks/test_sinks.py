"""Sinks: what is read back with PyAV and Pillow must be what went in, at its time."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from icstream.model import CAMVID, ConfigError
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import (
    Blend,
    MasksVideo,
    OverlayVideo,
    PngMasks,
    Sink,
    SinkContext,
    open_sink,
)
from support.clips import instant, moving_image

IRREGULAR = tuple((12_345 + np.cumsum(np.random.default_rng(3).integers(900, 9000, 10))).tolist())


def mask(index: int, size: tuple[int, int], *, num_ids: int = 256) -> NDArray[np.uint8]:
    """Blocks of ids from 0 to num_ids - 1."""
    random = np.random.default_rng(index)
    coarse = random.integers(0, num_ids, (size[0] // 8 + 1, size[1] // 8 + 1), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]])


def frame(
    index: int,
    pts: int | None,
    *,
    time_base: Fraction = Fraction(1, 25),
    size: tuple[int, int] = (64, 96),
    name: str | None = None,
    num_ids: int = 256,
) -> SegmentedFrame:
    meta = FrameMeta("s", index, pts, time_base, size, name)
    return SegmentedFrame(meta, mask(index, size, num_ids=num_ids), moving_image(index, size))


def write(sink: Sink, frames: list[SegmentedFrame]) -> None:
    for item in frames:
        sink.write(item)
    sink.close()


def read(path: Path) -> tuple[list[Fraction], list[int], list[NDArray[np.uint8]]]:
    with av.open(path) as file:
        shown = list(file.decode(video=0))
        times = [instant(f) for f in shown]
        gray = [np.asarray(f.to_ndarray(format="gray"), np.uint8) for f in shown]
        return times, [f.pts or 0 for f in shown], gray


TIMES = {
    "25": (Fraction(1, 25), tuple(range(10))),
    "ntsc": (Fraction(1001, 30000), tuple(range(5, 15))),
    "variable": (Fraction(1, 90000), IRREGULAR),
    "negative": (Fraction(1, 90000), tuple(range(-7_200, 21_600, 3_600))),
    "milliseconds": (Fraction(1, 1000), (0, 33, 67, 100, 133, 5_000)),
    "microseconds": (Fraction(1, 1_000_000), tuple(range(10**9, 10**9 + 400_000, 40_000))),
    "past 33 bits": (Fraction(1, 90000), tuple(2**33 + 3_600 * i for i in range(5))),
    # MP4 holds durations in 32 bits, which FFmpeg takes as signed; 14 h of 1/90000 s are more.
    "a gap of 14 h": (Fraction(1, 90000), (0, 3_600, 3_600 + 14 * 3600 * 90000, 2**33, 2**42)),
    "at the limit": (Fraction(1, 90000), (0, 2**31 - 2, 2**32 - 3, 2**32 + 2**31 - 3)),
    "an hour of microseconds": (Fraction(1, 1_000_000), (5, 3_600_000_005, 3_600_040_005)),
    "nanoseconds": (Fraction(1, 10**9), tuple(i * 3 * 10**9 + i for i in range(6))),
    "a gap of NTSC": (Fraction(1001, 30000), (0, 1, 3_000_000, 3_000_001)),
}


@pytest.mark.parametrize("kind", ["masks", "overlay"])
@pytest.mark.parametrize(("time_base", "pts"), TIMES.values(), ids=TIMES)
def test_times_are_exact(
    tmp_path: Path, kind: str, time_base: Fraction, pts: tuple[int, ...]
) -> None:
    sink = open_sink(kind, SinkContext(tmp_path, CAMVID, None))
    write(sink, [frame(i, p, time_base=time_base) for i, p in enumerate(pts)])
    times, integers, _ = read(tmp_path / f"{kind}.mp4")
    assert times == [p * time_base for p in pts]
    if time_base.numerator == 1:
        assert integers == list(pts)
    (part,) = sink.parts
    assert (part.num_frames, part.clock, part.time_base) == (len(pts), "pts", time_base)


@pytest.mark.parametrize("kind", ["masks", "overlay"])
def test_frames_that_are_not_later_stand_as_soon_as_they_can(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    pts = (0, 3_600, 3_600, 3_600, 7_200, 5_000, 7_201, 10_800)
    sink = open_sink(kind, SinkContext(tmp_path, CAMVID, None))
    write(sink, [frame(i, p, time_base=Fraction(1, 90000)) for i, p in enumerate(pts)])
    _, integers, masks = read(tmp_path / f"{kind}.mp4")
    assert integers == [0, 3_600, 3_601, 3_602, 7_200, 7_201, 7_202, 10_800]
    if kind == "masks":
        assert all((got == mask(i, (64, 96))).all() for i, got in enumerate(masks))
    assert [part.num_frames for part in sink.parts] == [8]
    assert f"{kind}.mp4: times must increase" in caplog.text
    assert "one unit after the one before: 4" in caplog.text


@pytest.mark.parametrize("kind", ["masks", "overlay", "rolling"])
def test_the_shape_of_pixels_is_passed_on(tmp_path: Path, kind: str) -> None:
    ratio = Fraction(24, 11)
    sink = open_sink(kind, SinkContext(tmp_path, CAMVID, None))
    frames = [frame(i, i) for i in range(4)]
    write(sink, [replace(f, meta=replace(f.meta, pixel_aspect=ratio)) for f in frames])
    videos = list(tmp_path.rglob("*.mp4"))
    assert len(videos) == (2 if kind == "rolling" else 1)
    for video in videos:
        with av.open(video) as file:
            assert file.streams.video[0].sample_aspect_ratio == ratio


def test_without_a_clock_frames_stand_at_their_index(tmp_path: Path) -> None:
    sink = MasksVideo(tmp_path)
    write(sink, [frame(i, None, time_base=Fraction(1001, 30000)) for i in range(3, 9)])
    times, _, _ = read(tmp_path / "masks.mp4")
    assert times == [i * Fraction(1001, 30000) for i in range(3, 9)]
    assert sink.parts[0].clock == "index"


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (1, 1), (2, 3), (9, 7), (540, 961)])
def test_every_id_comes_back(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = [frame(i, i, size=size) for i in range(4)]
    write(MasksVideo(tmp_path), frames)
    _, _, masks = read(tmp_path / "masks.mp4")
    for item, got in zip(frames, masks, strict=True):
        assert (got == item.class_ids).all()


@pytest.mark.parametrize("kind", ["masks", "overlay"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    for folder in ("a", "b"):
        sink = open_sink(kind, SinkContext(tmp_path / folder, CAMVID, None))
        write(sink, [frame(i, i) for i in range(8)])
    first, second = (tmp_path / folder / f"{kind}.mp4" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def is_taken(codec: str, pixels: str, size: tuple[int, int]) -> bool:
    """Whether FFmpeg's encoder and muxer take an image of a size."""
    even = size if codec == "ffv1" else (size[0] + size[0] % 2, size[1] + size[1] % 2)
    image = VideoFrame.from_ndarray(np.zeros(even, np.uint8), format="gray")
    with closing(av.open(io.BytesIO(), "w", format="mp4")) as file:
        stream = file.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = even
        stream.pix_fmt = pixels
        try:
            file.mux(stream.encode(image.reformat(format=pixels)))
            file.mux(stream.encode())
        except FFmpegError:
            return False
    return True


@pytest.mark.parametrize(
    ("kind", "codec", "pixels", "held", "refused"),
    [
        (
            *("masks", "ffv1", "gray"),
            [(1, 1), (2, 2), (64, 65_535), (65_535, 64)],
            [(64, 65_536), (65_536, 2), (9, 1)],
        ),
        (
            *("overlay", "libx264", "yuv420p"),
            [(1, 1), (9, 1), (64, 16_384), (16_383, 2)],
            [(64, 16_385), (16_385, 64)],
        ),
    ],
)
def test_sizes_are_held_up_to_the_limit_of_the_encoder(
    tmp_path: Path,
    kind: str,
    codec: str,
    pixels: str,
    held: list[tuple[int, int]],
    refused: list[tuple[int, int]],
) -> None:
    for number, size in enumerate([*held, *refused]):
        sink = open_sink(kind, SinkContext(tmp_path / str(number), CAMVID, None))
        write(sink, [frame(0, 0, size=size)])
        assert [part.num_frames for part in sink.parts] == ([1] if size in held else [])
        assert is_taken(codec, pixels, size) == (size in held)


def test_a_new_part_is_a_new_file(tmp_path: Path) -> None:
    sink = MasksVideo(tmp_path)
    sink.begin_part()
    sink.write(frame(0, 7))
    sink.begin_part()
    sink.begin_part()
    sink.write(frame(1, 3, size=(32, 48)))
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["masks.0001.mp4", "masks.mp4"]
    assert read(tmp_path / "masks.0001.mp4")[1] == [3]
    assert [(p.path, p.first_index, p.num_frames, p.size) for p in sink.parts] == [
        ("masks.mp4", 0, 1, (64, 96)),
        ("masks.0001.mp4", 1, 1, (32, 48)),
    ]


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_sinks import frame
from icstream.stages.sinks import SinkContext, open_sink
from icstream.model import CAMVID
context = SinkContext(Path(sys.argv[1]), CAMVID, None)
sinks = [open_sink(name, context) for name in ("masks", "overlay")]
for index in range(100):
    for sink in sinks:
        sink.write(frame(index, index))
print("written", flush=True)
sys.stdin.read()
"""


def test_what_was_written_before_a_kill_can_be_played(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    _, integers, masks = read(tmp_path / "masks.mp4")
    # The muxer closes a fragment when the next key frame comes: at most one frame is held back.
    assert integers == list(range(len(integers)))
    assert len(integers) >= 99
    assert all((got == mask(i, (64, 96))).all() for i, got in enumerate(masks))
    # The overlay has a key frame a second.
    assert len(read(tmp_path / "overlay.mp4")[1]) >= 50


def test_pngs_hold_ids_and_colors(tmp_path: Path) -> None:
    sink = PngMasks(tmp_path, CAMVID)
    write(sink, [frame(0, 0), frame(1, 1, size=(65, 97))])
    for index, size in enumerate([(64, 96), (65, 97)]):
        with Image.open(tmp_path / "masks" / f"{index:06}.png") as image:
            assert image.mode == "P"
            assert (np.asarray(image) == mask(index, size)).all()
            palette = np.asarray(image.getpalette()).reshape(-1, 3)
            assert palette[3].tolist() == [128, 64, 128]  # Road, in CamVid's colors
    assert not list(tmp_path.rglob("*.partial"))


def test_pngs_are_named_after_their_images(tmp_path: Path) -> None:
    sink = PngMasks(tmp_path, CAMVID)
    write(sink, [frame(0, None, name="left"), frame(1, None, name="b")])
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == ["b.png", "left.png"]
    assert sink.parts[0].num_frames == 2


def test_a_name_that_the_file_system_refuses_costs_no_frame(tmp_path: Path) -> None:
    sink = PngMasks(tmp_path, CAMVID)
    write(sink, [frame(0, None, name=251 * "a"), frame(1, None, name=252 * "b")])
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == [251 * "a" + ".png", "frame-000001.png"]


def test_a_video_is_written_to_exactly_the_given_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # FFmpeg takes "12" for a protocol in a relative name
    folder = Path("12:30") / os.fsdecode(b"caf\xe9")
    write(MasksVideo(folder), [frame(i, i) for i in range(3)])
    assert len(read(tmp_path / folder / "masks.mp4")[1]) == 3


def test_a_supervisely_project_names_its_video_in_utf_8_and_not_too_long(tmp_path: Path) -> None:
    source = tmp_path / os.fsdecode(b"caf\xe9" + 247 * b"x" + b".mp4")
    source.write_bytes(b"content")
    context = SinkContext(folder=tmp_path / "out", labels=CAMVID, source=source)
    write(open_sink("supervisely", context), [frame(0, 0, num_ids=len(CAMVID))])
    dataset = tmp_path / "out" / "supervisely" / "dataset"
    (video,) = (dataset / "video").iterdir()
    assert video.read_bytes() == b"content"
    (annotation,) = (dataset / "ann").iterdir()
    assert annotation.name == f"{video.name}.json"
    assert json.loads(annotation.read_text(encoding="utf-8"))["framesCount"] == 1


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("damage", ["cut", "emptied", "zeroed", "zeroed within", "no end"])
@pytest.mark.parametrize("bad", [0, 3, 299])
def test_masks_are_made_again_from_the_first_damaged_png_on(
    tmp_path: Path, named: bool, damage: str, bad: int
) -> None:
    sink = PngMasks(tmp_path, CAMVID)
    names = [f"img{299 - i}" if named else None for i in range(300)]
    write(sink, [frame(i, None, name=name, size=(8, 8)) for i, name in enumerate(names)])
    if named:
        for i, name in enumerate(names):
            os.utime(tmp_path / "masks" / f"{name}.png", ns=(0, 10**9 + i))
    assert PngMasks(tmp_path, CAMVID).restart_point(10**9) == 300
    assert PngMasks(tmp_path, CAMVID).restart_point(17) == 17
    path = tmp_path / "masks" / f"{names[bad] or f'{bad:06}'}.png"
    content, times = path.read_bytes(), path.stat()
    torn = {
        "cut": content[:-20],
        "emptied": b"",
        "zeroed": bytes(len(content)),
        "zeroed within": content[:-30] + bytes(8) + content[-22:],
        "no end": content[:-12] + bytes(12),
    }
    path.write_bytes(torn[damage])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    within_old = damage == "zeroed within" and bad < 300 - 256
    assert PngMasks(tmp_path, CAMVID).restart_point(10**9) == (300 if within_old else bad)


def test_blending_mixes_colors_and_spares_void() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    ids = np.array([[3, 0], [255, 11]], np.uint8)
    blended = Blend(CAMVID)(image, ids)
    # Road is (128, 64, 128), Sky (128, 128, 128); 255 and 11 are no classes.
    assert blended[0, 0].tolist() == [114, 82, 114]
    assert blended[0, 1].tolist() == [114, 114, 114]
    assert blended[1].tolist() == [[100, 100, 100]] * 2
    assert (image == 100).all()


@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_the_overlay_shows_true_colors(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), (40, 160, 220), np.uint8)
    ids = np.full(size, 3, np.uint8)
    meta = FrameMeta("s", 0, 0, Fraction(1, 25), size)
    write(OverlayVideo(tmp_path, CAMVID), [SegmentedFrame(meta, ids, image)])
    with av.open(tmp_path / "overlay.mp4") as file:
        shown = next(file.decode(video=0))
        assert (int(shown.colorspace), int(shown.color_range)) == (1, 1)
        assert (shown.height, shown.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        rgb = shown.to_ndarray(format="rgb24", src_colorspace="itu709").astype(int)
    wanted = np.array([84, 112, 174])  # the mean of the image and Road (128, 64, 128)
    assert np.abs(rgb.reshape(-1, 3).mean(0) - wanted).max() <= 4


def test_an_unknown_sink_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean masks"):
        open_sink("mask", SinkContext(tmp_path, CAMVID, None))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = MasksVideo(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        sink.write(frame(0, 0))
