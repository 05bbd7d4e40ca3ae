"""A run that is killed and resumed gives the bytes of one that was left alone."""

import json
import shutil
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.clips import instant, make_clip
from support.commands import COMMAND, call

pytestmark = pytest.mark.slow

STREETS = ("--weights", "streets", "--quiet")
SINKS = ("masks", "overlay", "png", "rle", "areas", "supervisely")
EVERY_SINK = [option for sink in SINKS for option in ("--sink", sink)]


def run(clip: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call("run", *STREETS, clip, "-o", out, *EVERY_SINK, *options)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "overlay.mp4")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def overlay(folder: Path) -> list[tuple[Any, tuple[int, ...]]]:
    with av.open(folder / "overlay.mp4") as file:
        return [(instant(f), f.to_ndarray().shape) for f in file.decode(video=0)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps = np.random.default_rng(0).integers(900, 9000, 200)
    times = tuple((-7_200 + np.cumsum(steps)).tolist())
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_clip(path, pts=times, time_base=Fraction(1, 90000), size=(96, 160))


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    done = run(clip, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize(
    ("number", "num_masks"),
    [(signal.SIGKILL, 1), (signal.SIGKILL, 60), (signal.SIGTERM, 30)],
)
def test_a_run_that_was_ended_is_resumed_to_the_same_bytes(
    clip: Path, whole: Path, tmp_path: Path, number: int, num_masks: int
) -> None:
    out = tmp_path / "out"
    command = [*COMMAND, "run", *STREETS, str(clip), "-o", str(out), *EVERY_SINK]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 120
        while len(list((out / "clip" / "masks").glob("*.png"))) < num_masks:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
    assert (out / "report.json").exists() == (number == signal.SIGTERM)
    done = run(clip, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert contents(out / "clip") == contents(whole / "clip")
    assert overlay(out / "clip") == overlay(whole / "clip")
    parts = [json.loads((f / "report.json").read_text())["streams"]["clip"] for f in (out, whole)]
    assert parts[0]["parts"] == parts[1]["parts"]
    assert parts[0]["encoded"] == 200


def test_torn_files_are_cut_back_to_whole_frames(clip: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "report.json").unlink()
    for name, keep in (("masks.mp4", 0.83), ("areas.csv", 0.71), ("masks.jsonl", 0.9)):
        path = out / "clip" / name
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    done = run(clip, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert contents(out / "clip") == contents(whole / "clip")
    assert overlay(out / "clip") == overlay(whole / "clip")


def test_resuming_a_finished_run_changes_nothing(clip: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    done = run(clip, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert contents(out / "clip") == contents(whole / "clip")
    assert overlay(out / "clip") == overlay(whole / "clip")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threads", "2"], "differs in inference"),
        (["--set", "fit.mode=stretch", "--set", "fit.size=64x64"], "differs in fit"),
        (["--overwrite"], "contradict each other"),
        (["--policy", "freshest"], "not possible with live sources"),
    ],
)
def test_other_settings_cannot_be_resumed(
    clip: Path, whole: Path, options: list[str], words: str
) -> None:
    before = contents(whole)
    done = run(clip, whole, "--resume", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert contents(whole) == before


def test_a_folder_without_a_run_cannot_be_resumed(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = run(clip, tmp_path, "--resume")
    assert done.returncode == 2
    assert "so cannot be resumed" in done.stderr
