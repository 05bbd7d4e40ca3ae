"""The shape of pixels: what ffprobe says of a file is what comes with each frame."""

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from icstream.stages import FrameAccounting
from icstream.stages.decode.find import find_sources
from icstream.stages.decode.video import VideoSource
from icstream.stages.items import Frame
from support.clips import require_program, set_display_matrix

SOURCE = "testsrc2=size=64x48:rate=25:duration=0.2"


def ffmpeg(*arguments: object) -> None:
    command = [require_program("ffmpeg"), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


def probed(path: Path) -> str:
    entries = ("-show_entries", "stream=sample_aspect_ratio", "-of", "csv=p=0")
    command = [require_program("ffprobe"), "-v", "error", *entries, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.split()[0]


def aspects(path: Path) -> set[Fraction | None]:
    (spec,) = find_sources([str(path)])
    with VideoSource(spec, accounting=FrameAccounting(), threads=1) as source:
        return {item.meta.pixel_aspect for item in source if isinstance(item, Frame)}


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv", ".avi"])
@pytest.mark.parametrize(("ratio", "wanted"), [("24/11", Fraction(24, 11)), ("1", None)])
def test_it_is_that_of_ffprobe(
    tmp_path: Path, suffix: str, ratio: str, wanted: Fraction | None
) -> None:
    path = tmp_path / f"clip{suffix}"
    ffmpeg("-f", "lavfi", "-i", f"{SOURCE},setsar={ratio}", "-c:v", "libx264", path)
    assert probed(path) == ("24:11" if wanted else "1:1")
    assert aspects(path) == {wanted}


def test_a_container_counts_before_its_codec(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.mp4", tmp_path / "clip.mkv"
    ffmpeg("-f", "lavfi", "-i", f"{SOURCE},setsar=2", "-c:v", "libx264", plain)
    ffmpeg("-i", plain, "-c", "copy", "-aspect", "4:1", path)
    assert probed(path) == "3:1"  # of 64x48 pixels
    assert aspects(path) == {Fraction(3)}


def test_a_turned_frame_has_its_pixels_turned(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    ffmpeg("-f", "lavfi", "-i", f"{SOURCE},setsar=24/11", "-c:v", "libx264", path)
    set_display_matrix(path, (0, 1, -1, 0))
    assert aspects(path) == {Fraction(11, 24)}
