"""Times and counts of recordings that were edited, interrupted, joined, or badly timed."""

import json
import subprocess
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from icstream.stages import FormatChange, Frame, FrameAccounting, Item
from icstream.stages.decode import open_source
from icstream.stages.decode.clock import with_restarts
from icstream.stages.decode.find import find_sources
from support.clips import make_clip, moving_image, require_program
from support.recordings import read

B_FRAMES = {"bf": "2", "b-adapt": "0"}
NO_CUTS = {"bf": "0", "sc_threshold": "0"}


def items_of(path: Path) -> tuple[list[Item], FrameAccounting]:
    (spec,) = find_sources([str(path)])
    accounting = FrameAccounting()
    with open_source(spec, accounting=accounting) as source:
        return list(source), accounting


def times_of(items: list[Item]) -> list[Fraction | None]:
    return [item.meta.time for item in items if isinstance(item, Frame)]


def shown_by_ffprobe(path: Path) -> list[Fraction]:
    """Return the times of the frames that ffprobe counts."""
    command = [require_program("ffprobe"), "-v", "error", "-select_streams", "v", "-of", "json"]
    command += ["-show_entries", "frame=best_effort_timestamp:stream=time_base", str(path)]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    unit = Fraction(shown["streams"][0]["time_base"])
    return [frame["best_effort_timestamp"] * unit for frame in shown["frames"]]


def ffmpeg(*arguments: object) -> None:
    command = [require_program("ffmpeg"), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize("cut", [("-t", "2"), ("-ss", "1"), ("-ss", "1", "-t", "2")])
def test_what_an_edit_list_leaves_out_is_not_missing(tmp_path: Path, cut: tuple[str, ...]) -> None:
    whole = make_clip(tmp_path / "a.mp4", pts=tuple(range(100)), gop=20, options=B_FRAMES)
    path = tmp_path / "cut.mp4"
    ffmpeg(*cut, "-i", whole, "-c", "copy", path)
    items, accounting = items_of(path)
    assert times_of(items) == shown_by_ffprobe(path)
    assert (accounting.complete, accounting.missing) == (True, 0)


INTERRUPTED = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 20, 21, 22, 23, 24)
"""Times of which an AVI keeps the ones between as chunks without data."""


@pytest.mark.parametrize(
    ("codec", "options", "pix_fmt"),
    [
        ("mjpeg", {}, "yuvj420p"),
        ("mpeg4", {"bf": "0"}, "yuv420p"),
        ("mpeg4", {"bf": "2"}, "yuv420p"),
        ("libx264", B_FRAMES, "yuv420p"),
    ],
    ids=["mjpeg", "mpeg4", "mpeg4 b frames", "h264 b frames"],
)
def test_empty_chunks_of_an_avi_keep_their_time(
    tmp_path: Path, codec: str, options: dict[str, str], pix_fmt: str
) -> None:
    path = make_clip(
        tmp_path / "a.avi", pts=INTERRUPTED, codec=codec, options=options, pix_fmt=pix_fmt
    )
    items, accounting = items_of(path)
    assert times_of(items) == [Fraction(time, 25) for time in INTERRUPTED]
    assert (accounting.complete, accounting.missing) == (True, 0)


def remux(source: Path, target: Path, times: list[int]) -> Path:
    """Write the packets of a clip with other times of display, in milliseconds."""
    with av.open(source) as clip, av.open(target, "w") as file:
        stream = file.add_stream_from_template(clip.streams.video[0])
        packets = [packet for packet in clip.demux(video=0) if packet.size]
        for packet, time in zip(packets, times, strict=True):
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = time
            file.mux(packet)
    return target


@pytest.mark.parametrize(
    ("options", "times", "num_noted"),
    [
        ({"bf": "0"}, [40 * k - 40 * (k == 3) for k in range(30)], 1),
        ({"bf": "0"}, [40 * k - 20 * (k % 5 == 4) for k in range(30)], 0),
        ({"bf": "0"}, [40 * (k - k % 2) for k in range(30)], 15),
        (B_FRAMES, [40 * k for k in range(30)], 9),
    ],
    ids=["once", "uneven", "always in pairs", "order of decoding"],
)
def test_times_that_do_not_increase_are_noted_and_kept(
    tmp_path: Path, options: dict[str, str], times: list[int], num_noted: int
) -> None:
    clip = make_clip(tmp_path / "a.mkv", pts=tuple(range(30)), options=options)
    items, accounting = items_of(remux(clip, tmp_path / "b.mkv", times))
    kept = [1000 * time for time in times_of(items) if time is not None]
    assert sorted(kept) == times
    assert not any(isinstance(item, FormatChange) for item in items)
    assert accounting.noted.total() == num_noted
    assert accounting.complete


@pytest.mark.parametrize(
    ("times", "restarts_at"),
    [
        ([*range(50, 90), *range(5, 40)], [40]),
        ([*range(12), *range(12)], [12]),
        ([*range(30), 27, *range(30, 60)], []),
        ([*range(30), 2, *range(30, 60)], []),
        ([*range(30), 28], []),
        ([0, None, 2, 3, None, 1, 5], []),
    ],
    ids=["joined", "joined short", "late", "very late", "late at the end", "unknown"],
)
def test_only_joined_recordings_begin_anew(times: list[int | None], restarts_at: list[int]) -> None:
    packets: Any = iter([SimpleNamespace(dts=time) for time in times])
    counts = [count for _, count in with_restarts(packets)]
    assert counts == [sum(k >= place for place in restarts_at) for k in range(len(times))]


def test_frames_before_the_first_key_frame_are_counted_however_many(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "a.ts", pts=tuple(range(400)), gop=200, options=NO_CUTS)
    with av.open(whole) as clip:
        places = [packet.pos or 0 for packet in clip.demux(video=0) if packet.size]
    path = tmp_path / "b.ts"
    path.write_bytes(whole.read_bytes()[places[5] // 188 * 188 :])
    num_frames, accounting, _, _ = read(path)
    assert num_frames == 200
    assert accounting.undecodable == {"before the first key frame": 195}


@pytest.mark.parametrize("name", ["late.ts", "late.mkv", "late.flv"])
def test_video_may_begin_long_after_sound(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = file.add_stream("aac", rate=44100, layout="mono")
        for number in range(12 * 44100 // 1024):
            heard = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            heard.planes[0].update(bytes(heard.planes[0].buffer_size))
            heard.pts, heard.rate = number * 1024, 44100
            file.mux(sound.encode(heard))
        for number in range(12):
            image = moving_image(number, (64, 96))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = 12 * 25 + number, Fraction(1, 25)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        file.mux(sound.encode())
    num_frames, accounting, _, _ = read(path)
    assert (num_frames, accounting.complete) == (12, True)
