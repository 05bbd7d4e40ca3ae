"""Every example runs, on inputs as small as it takes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from clips import make_clip

from icstream.model import Checkpoint

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_segment_recording_prints_a_line_per_frame(tmp_path: Path) -> None:
    lines = run("segment_recording.py", make_clip(tmp_path / "clip.mp4")).splitlines()
    assert len(lines) == 12
    assert lines[1].split()[0] == "0.040"
    assert all(line.endswith("%") for line in lines)


def test_train_streets_writes_a_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    output = run("train_streets.py", file, "--max-steps", 2, "--width", 0.0625)
    assert "mIoU" in output
    checkpoint = Checkpoint.load(file)
    assert checkpoint.training["steps"] == 2
    assert checkpoint.config.width == 0.0625


def test_a_sink_of_another_package_is_found_by_its_name(tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    flags = ["--no-deps", "--no-build-isolation", "--target", str(site)]
    package = tmp_path / "road_alarm"
    shutil.copytree(EXAMPLES / "road_alarm", package)
    subprocess.run([*pip, *flags, str(package)], check=True, timeout=180)
    clip = make_clip(tmp_path / "clip.mp4")
    command = [sys.executable, "-m", "icstream.pipeline", "run", str(clip), "--weights", "streets"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out"), "--sink", "road_alarm", "--sink", "masks"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "out" / "report.json").read_text())["streams"]["clip"]["parts"]
    assert parts["road_alarm"][0]["frames"] == 12


def test_every_example_is_tested() -> None:
    tested = {"segment_recording.py", "train_streets.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
