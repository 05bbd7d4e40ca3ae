"""Every example runs, on inputs as small as it takes."""

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


def test_every_example_is_tested() -> None:
    tested = {"segment_recording.py", "train_streets.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
