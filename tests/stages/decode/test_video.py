"""Decoding: times against what was written and what PyAV and ffprobe see; every packet counted."""

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from icstream.model import SourceError
from icstream.model.planar import planes
from icstream.stages import End, FormatChange, Frame, FrameAccounting, Gap, Item
from icstream.stages.decode import SourceInfo, open_source
from icstream.stages.decode.find import find_sources
from support.clips import (
    damage_packet,
    instant,
    make_clip,
    moving_image,
    packet_places,
    require_program,
    set_display_matrix,
)


def decode(
    path: Path, *, threads: int = 1
) -> tuple[list[Frame], list[Item], FrameAccounting, SourceInfo]:
    (spec,) = find_sources([str(path)])
    accounting = FrameAccounting()
    with open_source(spec, accounting=accounting, threads=threads) as source:
        items = list(source)
        info = source.info
    assert isinstance(items[-1], End)
    frames = [item for item in items if isinstance(item, Frame)]
    assert accounting.decoded == len(frames)
    accounting.in_flight -= len(frames)
    accounting.encoded += len(frames)
    assert accounting.faults() == []
    assert [frame.meta.index for frame in frames] == list(range(len(frames)))
    others: list[Item] = [item for item in items[:-1] if not isinstance(item, Frame)]
    return frames, others, accounting, info


IRREGULAR = tuple(np.cumsum(np.random.default_rng(3).integers(900, 9000, 12)).tolist())


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        (Fraction(1, 25), tuple(range(12))),
        (Fraction(1001, 30000), tuple(range(12))),
        (Fraction(1, 90000), IRREGULAR),
        (Fraction(1, 90000), tuple(range(180_000, 223_200, 3_600))),
        (Fraction(1, 90000), tuple(range(-7_200, 36_000, 3_600))),
        (Fraction(1, 1000), (0, 33, 67, 100, 133, 400, 401, 402)),
    ],
    ids=["25", "ntsc", "variable", "late start", "negative start", "milliseconds"],
)
@pytest.mark.parametrize("b_frames", [0, 2])
def test_times_are_those_written(
    tmp_path: Path, name: str, time_base: Fraction, pts: tuple[int, ...], b_frames: int
) -> None:
    options = {"bf": str(b_frames), "b-adapt": "0", "preset": "veryfast"}
    path = make_clip(tmp_path / name, pts=pts, time_base=time_base, options=options)
    frames, others, accounting, info = decode(path)
    times = [frame.meta.time for frame in frames]
    assert times[0] == pts[0] * time_base or pts[0] < 0
    # Containers may shift a clip as a whole; distances are exact, as is what PyAV itself shows.
    assert [t - times[0] for t in times if t is not None and times[0] is not None] == [
        (p - pts[0]) * time_base for p in pts
    ]
    with av.open(path) as file:
        shown = [instant(frame) for frame in file.decode(video=0)]
    assert times == shown
    assert (others, accounting.missing, info.clock) == ([], 0, "pts")


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mkv", "libx264"),
        ("clip.ts", "libx264"),
        ("clip.webm", "libvpx-vp9"),
        ("c.mpg", "mpeg2video"),
    ],
)
def test_every_container_gives_its_own_times(tmp_path: Path, name: str, codec: str) -> None:
    path = make_clip(tmp_path / name, codec=codec)
    frames, others, accounting, info = decode(path)
    ffprobe = require_program("ffprobe")
    command = [
        ffprobe,
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "frame=pts,best_effort_timestamp",
        "-of",
        "json",
        str(path),
    ]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert len(frames) == len(shown["frames"])
    for frame, entry in zip(frames, shown["frames"], strict=True):
        # ffprobe leaves the time of a last frame open where MPEG-PS gives it none of its own.
        assert frame.meta.pts == entry.get("best_effort_timestamp", frame.meta.pts)
    assert (len(frames), others, info.clock) == (12, [], "pts")
    assert accounting.undecodable.total() == 0


@pytest.mark.parametrize(("name", "container"), [("clip.avi", None), ("clip.h264", "h264")])
def test_sources_without_usable_times_note_it(
    tmp_path: Path, name: str, container: str | None
) -> None:
    options = {"bf": "2", "b-adapt": "0"}
    path = make_clip(tmp_path / name, options=options, container=container)
    frames, _, accounting, info = decode(path)
    assert info.clock == "index"
    assert info.time_base == Fraction(1, 25)
    assert [frame.meta.pts for frame in frames] == [None] * 12
    assert {frame.meta.time for frame in frames} == {None}
    assert accounting.packets == 12
    # Presentation order all the same: the pan goes on from image to image.
    for index, frame in enumerate(frames):
        assert frame.image is not None
        wanted = moving_image(index, (64, 96)).astype(int)
        assert np.abs(frame.image - wanted).mean() < 8


def test_avi_without_reordering_keeps_its_times(tmp_path: Path) -> None:
    frames, _, _, info = decode(make_clip(tmp_path / "clip.avi", codec="mpeg4"))
    assert info.clock == "pts"
    assert [frame.meta.pts for frame in frames] == list(range(12))


@pytest.mark.parametrize("threads", [1, 2])
def test_images_are_those_encoded(tmp_path: Path, threads: int) -> None:
    path = make_clip(
        tmp_path / "clip.mp4", codec="libx264rgb", pix_fmt="rgb24", options={"qp": "0"}
    )
    frames, _, _, _ = decode(path, threads=threads)
    for index, frame in enumerate(frames):
        assert frame.image is not None
        assert (frame.image == moving_image(index, (64, 96))).all()
        assert frame.canvas is not None
        assert np.shares_memory(frame.canvas[:64, :96], frame.image)
        assert all(plane.flags.c_contiguous for plane in planes(frame.canvas))


@pytest.mark.parametrize("size", [(65, 97), (97, 65)])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make_clip(tmp_path / "clip.mkv", size=size, codec="ffv1", pix_fmt="yuv444p")
    frames, _, _, info = decode(path)
    assert info.size == size == frames[0].meta.size
    assert frames[0].image is not None
    assert frames[0].image.shape == (*size, 3)


def test_ten_bits_become_eight(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", pix_fmt="yuv420p10le")
    frames, _, _, _ = decode(path)
    assert frames[3].image is not None
    wanted = moving_image(3, (64, 96)).astype(int)
    assert np.abs(frames[3].image - wanted).mean() < 5


@pytest.mark.parametrize(
    "matrix",
    [
        *((0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)),  # turned
        *((-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)),  # mirrored
    ],
    ids=["90", "180", "270", "left-right", "top-bottom", "transpose", "transverse"],
)
def test_a_display_matrix_does_what_ffmpeg_does(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    ffmpeg = require_program("ffmpeg")
    path, reference = make_clip(tmp_path / "clip.mp4"), tmp_path / "reference.png"
    set_display_matrix(path, matrix)
    command = [ffmpeg, "-v", "error", "-i", str(path), "-frames:v", "1", str(reference)]
    subprocess.run(command, check=True, timeout=60)
    frames, others, _, info = decode(path)
    expected, _, _, _ = decode(reference)
    assert frames[0].image is not None
    assert expected[0].image is not None
    assert frames[0].image.shape == expected[0].image.shape
    assert info.size == frames[0].meta.size == expected[0].meta.size
    assert np.abs(frames[0].image.astype(int) - expected[0].image).mean() < 4
    assert others == []


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"bf": "0"}),
        ("libx264", {"bf": "2"}),
        ("libx265", {"x265-params": "log-level=none"}),
        ("mpeg4", {}),
    ],
    ids=["h264", "h264 b frames", "hevc", "mpeg4"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_damaged_packet_costs_its_image_and_not_the_rest(
    tmp_path: Path, codec: str, options: dict[str, str], threads: int
) -> None:
    path = make_clip(
        tmp_path / "clip.mp4",
        codec=codec,
        options=options,
        pts=tuple(range(40)),
        size=(96, 128),
        gop=10,
    )
    intact, _, _, _ = decode(path)
    damage_packet(path, 20)
    frames, others, accounting, _ = decode(path, threads=threads)
    assert accounting.packets == 40
    assert 38 <= accounting.decoded < 40
    assert accounting.undecodable.total() == 40 - accounting.decoded
    gaps = [item for item in others if isinstance(item, Gap)]
    lost = {frame.meta.pts for frame in intact} - {frame.meta.pts for frame in frames}
    assert {gap.pts for gap in gaps} == lost
    assert accounting.missing == 0
    assert not accounting.complete


def test_a_recording_cut_off_gives_what_decodes(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pts=tuple(range(40)), gop=10)
    # The index at the front, as cameras that stream write it.
    ffmpeg = require_program("ffmpeg")
    front = tmp_path / "front.mp4"
    command = [
        ffmpeg,
        "-v",
        "error",
        "-i",
        str(path),
        "-c",
        "copy",
        "-movflags",
        "faststart",
        str(front),
    ]
    subprocess.run(command, check=True, timeout=60)
    position, size = packet_places(front)[25]
    front.write_bytes(front.read_bytes()[: position + size // 2])
    frames, _, accounting, info = decode(front)
    assert info.num_frames == 40
    assert accounting.packets + accounting.missing == 40
    assert len(frames) >= 25 - 1
    assert not accounting.complete


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts"])
def test_interlaced_images_keep_their_times(tmp_path: Path, name: str) -> None:
    options = {"x264-params": "tff=1", "bf": "2", "b-adapt": "0"}
    path = make_clip(tmp_path / name, options=options)
    with av.open(path) as file:
        assert next(file.decode(video=0)).interlaced_frame
    frames, others, accounting, info = decode(path)
    assert (len(frames), others, info.clock) == (12, [], "pts")
    assert accounting.without_frame.total() == 0
    times = [frame.meta.time for frame in frames]
    assert [t - times[0] for t in times if t is not None and times[0] is not None] == [
        Fraction(i, 25) for i in range(12)
    ]
    damage_packet(path, 6)
    _, _, accounting, _ = decode(path)
    assert accounting.without_frame.total() == 0, "what was lost is no second field"


def test_a_start_in_mid_gop_is_counted(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.ts", pts=tuple(range(30)), gop=10, options={"bf": "0"})
    places = packet_places(path)
    path.write_bytes(path.read_bytes()[places[3][0] // 188 * 188 :])
    frames, _, accounting, _ = decode(path)
    assert accounting.packets == accounting.decoded + accounting.undecodable.total()
    assert len(frames) >= 20
    assert accounting.undecodable.total() > 0


def test_a_change_of_size_is_announced(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.ts", pts=tuple(range(6)))
    second = make_clip(tmp_path / "b.ts", pts=tuple(range(100, 106)), size=(96, 64))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames, others, accounting, _ = decode(joined)
    changes = [item for item in others if isinstance(item, FormatChange)]
    assert [change.reason for change in changes] == ["size 96x64 -> 64x96"]
    assert {frame.meta.size for frame in frames} == {(64, 96), (96, 64)}
    assert accounting.undecodable.total() == 0


def test_time_that_runs_backwards_is_announced(tmp_path: Path) -> None:
    part = make_clip(tmp_path / "a.ts", pts=tuple(range(500, 506)))
    earlier = make_clip(tmp_path / "b.ts", pts=tuple(range(100, 106)))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() + earlier.read_bytes())
    frames, others, _, _ = decode(joined)
    assert [type(item) for item in others] == [FormatChange]
    assert "backwards" in others[0].reason  # type: ignore[union-attr]
    assert len(frames) == 12


def test_stopping_in_the_middle_keeps_the_accounts(tmp_path: Path) -> None:
    (spec,) = find_sources([str(make_clip(tmp_path / "clip.mp4", options={"bf": "3"}))])
    accounting = FrameAccounting()
    with open_source(spec, accounting=accounting) as source:
        items = iter(source)
        for _ in range(4):
            next(items)
        items.close()  # type: ignore[attr-defined]
    accounting.in_flight -= 4
    accounting.encoded += 4
    assert accounting.faults() == []
    assert accounting.packets > 4


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"not a video at all" * 99, "not a video")]
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    (spec,) = find_sources([str(path)])
    with pytest.raises(SourceError, match=words):
        open_source(spec, accounting=FrameAccounting())


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as file:
        stream = file.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(bytes(4096))
        frame.pts, frame.rate = 0, 44100
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    (spec,) = find_sources([str(path)])
    with pytest.raises(SourceError, match="contains no video"):
        open_source(spec, accounting=FrameAccounting())


def test_the_real_recording_gives_all_its_frames(data_dir: Path) -> None:
    frames, others, accounting, info = decode(data_dir / "dashcam_960x540.mp4")
    assert [frame.meta.pts for frame in frames] == list(range(221))
    assert (others, info.num_frames, accounting.complete) == ([], 221, True)


def test_half_of_the_real_recording_gives_what_decodes(data_dir: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.mp4"
    content = (data_dir / "dashcam_960x540.mp4").read_bytes()
    half.write_bytes(content[: len(content) // 2])
    frames, _, accounting, _ = decode(half)
    complete = [
        pos + size <= len(content) // 2
        for pos, size in packet_places(data_dir / "dashcam_960x540.mp4")
    ]
    assert len(frames) == sum(complete)
    assert accounting.packets + accounting.missing == 221
