"""Sources and sinks of other packages that misbehave, in a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.clips import make_clip
from support.commands import icstream

pytestmark = pytest.mark.slow

PACKAGE = '''
import os
import time
from fractions import Fraction

import numpy as np

from icstream.stages import End, Frame, FrameMeta
from icstream.stages.decode import SourceInfo

BASE, SIZE = Fraction(1, 10), (64, 96)


class Source:
    """Ten frames; the first two letters of the argument say what is wrong with which."""

    def __init__(self, context):
        self.context = context
        self.info = SourceInfo("pts", BASE, 10, SIZE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        kind, _, places = self.context.rest.partition("-")
        for index in range(10):
            wrong = str(index) in places
            if wrong and kind == "crash":
                while not os.path.exists(os.environ["BEFORE_CRASH"]):
                    time.sleep(0.01)
                os.abort()
            if wrong and kind == "bug":
                raise ZeroDivisionError("a bug in a source")
            self.context.accounting.packets += 1
            self.context.accounting.decoded += 1
            number = index + 1 if wrong and kind == "skip" else index
            image = None if wrong and kind == "blind" else np.full((*SIZE, 3), 9, np.uint8)
            yield Frame(FrameMeta(self.context.stream, number, index, BASE, SIZE), image)
        yield End(self.context.stream)


class Sink:
    """Keeps four frames to itself."""

    wants_image = False
    num_held_back = 4
    parts = ()

    def __init__(self, context):
        pass

    def restart_point(self, at_most):
        return 0

    def skip(self, first, num_frames):
        pass

    def begin_part(self):
        pass

    def write(self, frame):
        pass

    def close(self):
        pass
'''


@pytest.fixture(scope="module")
def runtime_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package in it that offers the source and the sink "odd"."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "odd.py").write_text(PACKAGE)
    info = folder / "odd-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[icstream.sources]\nodd = odd:Source\n[icstream.sinks]\nodd = odd:Sink\n"
    )
    return folder


def run(
    runtime_dir: Path,
    out: Path,
    *sources: object,
    options: Sequence[str] = ("--sink", "masks"),
    before_crash: Path | None = None,
) -> tuple[int, str, dict[str, Any]]:
    arguments = (*sources, "--weights", "streets", "-o", out, *options)
    environment = {"PYTHONPATH": str(runtime_dir), "BEFORE_CRASH": str(before_crash)}
    done = icstream("run", *arguments, timeout_s=180, **environment)
    assert "Traceback" not in done.stderr
    build_report = json.loads((out / "report.json").read_text())
    return done.returncode, done.stderr, build_report["streams"]


def test_a_frame_that_a_stage_cannot_process_is_lost_alone(
    runtime_dir: Path, tmp_path: Path
) -> None:
    code, said, streams = run(runtime_dir, tmp_path / "out", "odd:blind-37")
    stream = streams["blind-37"]
    assert code == 3
    assert stream["failed"] == {"no picture": 2}
    assert (stream["decoded"], stream["encoded"], stream["closed"]) == (10, 8, True)
    assert [(gap["index"], gap["reason"]) for gap in stream["gaps"]] == [
        (3, "no picture"),
        (7, "no picture"),
    ]
    assert stream["hops"]["preprocess"]["failed"] == 2
    assert "2 failed: no picture" in said


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("crash-4", "killed by SIGABRT"),
        ("bug-4", "ZeroDivisionError: a bug in a source"),
        ("skip-4", "received frame 5 instead of 4"),
    ],
)
def test_a_source_that_fails_again_and_again_ends_its_stream_and_no_other(
    runtime_dir: Path, tmp_path: Path, what: str, words: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    out = tmp_path / "out"
    code, said, streams = run(
        *(runtime_dir, out, f"odd:{what}", clip),
        options=("--sink", "png", "--set", "supervision.max_restarts=2"),
        before_crash=out / what / "masks" / "000003.png",  # the frame before it is encoded
    )
    assert code == 1
    assert words in said
    assert f"decode {what}" in streams[what]["error"]
    assert streams[what]["encoded"] == 4
    assert streams[what]["closed"]
    assert (streams["clip"]["encoded"], streams["clip"]["error"]) == (12, None)


@pytest.mark.parametrize(("window", "code"), [(4, 1), (5, 0)])
def test_a_sink_that_holds_back_all_that_may_be_in_flight_ends_its_stream(
    runtime_dir: Path, tmp_path: Path, window: int, code: int
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    options = ("--sink", "odd", "--set", f"pipeline.window={window}")
    got, said, streams = run(runtime_dir, tmp_path / "out", clip, options=options)
    assert got == code
    assert streams["clip"]["closed"]
    if code:
        assert streams["clip"]["error"] in said
        assert "holds the last 4 frames" in streams["clip"]["error"]
        assert "increase pipeline.window" in streams["clip"]["error"]
