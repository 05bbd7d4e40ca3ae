"""Every example runs, on inputs as small as it takes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from icstream.model import CAMVID
from icstream.stages.data import open_data
from icstream.stages.streets import Street
from support.clips import make_clip
from support.commands import icstream
from support.live_servers import push_frames

pytestmark = pytest.mark.slow

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


def test_rendered_streets_are_data_that_training_reads(tmp_path: Path) -> None:
    run("render_streets.py", tmp_path / "streets", "--train", 3, "--val", 2)
    data = open_data(tmp_path / "streets")
    assert data.labels == CAMVID
    assert (len(data.split("train")), len(data.split("val"))) == (3, 2)
    truth = Street(10_001, size=(360, 480)).render(
        float(np.random.default_rng(10_001).uniform(0, 60))
    )
    image = data.split("val")[1].load()
    assert (image.rgb_HW3 == truth[0]).all()
    assert (image.ids_HW == truth[1]).all()


def install(packages: Path, factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the two packages installed in it."""
    folder = factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    flags = ["--no-deps", "--no-build-isolation", "--target", str(folder)]
    copies = []
    for name in ("road_alarm", "street_source"):
        copy = factory.mktemp("package") / name
        shutil.copytree(packages / name, copy)
        copies.append(str(copy))
    subprocess.run([*pip, *flags, *copies], check=True, timeout=180)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of the examples installed in it."""
    return install(EXAMPLES, tmp_path_factory)


@pytest.fixture(scope="module")
def old_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the packages as icstream 0.1.0 had them, under the old names."""
    return install(Path(__file__).with_name("plugins_0_1_0"), tmp_path_factory)


def streams(site: Path, out: Path, *arguments: object) -> dict[str, Any]:
    """Run icstream with those packages, and return the streams of the report."""
    return streams_and_log(site, out, *arguments)[0]


def streams_and_log(site: Path, out: Path, *arguments: object) -> tuple[dict[str, Any], str]:
    options = ("--weights", "streets", "-o", out, "--sink", "masks")
    done = icstream("run", *arguments, *options, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    return json.loads((out / "report.json").read_text())["streams"], done.stderr


def test_a_sink_of_another_package_is_found_by_its_name(site: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    found = streams(site, tmp_path / "out", clip, "--sink", "road_alarm")
    assert found["clip"]["parts"]["road_alarm"][0]["frames"] == 12


def test_a_source_of_another_package_is_found_by_its_name(site: Path, tmp_path: Path) -> None:
    found = streams(site, tmp_path / "out", "street:7", "street:8")
    assert [(name, s["encoded"], s["closed"]) for name, s in found.items()] == [
        ("7", 25, True),
        ("8", 25, True),
    ]
    assert found["7"]["clock"] == "pts"


def renamed_lines(log: str) -> list[str]:
    """Return what a log says of old names, without the time of day."""
    return sorted(line.split(" WARNING ")[1] for line in log.splitlines() if " is now " in line)


def test_a_sink_written_for_0_1_0_works_with_one_warning_per_old_name(
    site: Path, old_site: Path, tmp_path: Path
) -> None:
    clips = [make_clip(tmp_path / f"{name}.mp4") for name in ("a", "b")]  # two encode workers
    arguments = (*clips, "--sink", "road_alarm")
    _, clean = streams_and_log(site, tmp_path / "new", *arguments)
    found, log = streams_and_log(old_site, tmp_path / "old", *arguments)
    assert renamed_lines(clean) == []
    assert renamed_lines(log) == [
        "RoadAlarm.wants_picture is now wants_image (road_alarm.py:13)",
        "SegmentedFrame.result is now class_ids (road_alarm.py:49)",
        "icstream.stages.ClassIds is now icstream.stages.SegmentedFrame.class_ids"
        " (road_alarm.py:7)",
    ]
    for name in ("a", "b"):
        assert found[name]["parts"]["road_alarm"][0]["frames"] == 12
        text = (tmp_path / "old" / name / "road_alarm.txt").read_text()
        assert text == (tmp_path / "new" / name / "road_alarm.txt").read_text()
        assert len(text.splitlines()) == 12


def test_a_source_written_for_0_1_0_works_with_one_warning_per_old_name(
    site: Path, old_site: Path, tmp_path: Path
) -> None:
    _, clean = streams_and_log(site, tmp_path / "new", "street:7", "street:8")
    found, log = streams_and_log(old_site, tmp_path / "old", "street:7", "street:8")
    assert renamed_lines(clean) == []
    assert renamed_lines(log) == ["SourceContext.books is now accounting (street_source.py:39)"]
    assert [(stream["encoded"], stream["closed"]) for stream in found.values()] == [(25, True)] * 2
    for name in ("7", "8"):
        masks = (tmp_path / "old" / name / "masks.mp4").read_bytes()
        assert masks == (tmp_path / "new" / name / "masks.mp4").read_bytes()


def test_a_program_pushes_frames_into_a_running_icstream(tmp_path: Path) -> None:
    socket = tmp_path / "frames"
    with push_frames(f"ipc://{socket}", "--frames", "20"):
        found = streams(tmp_path, tmp_path / "out", f"zmq://{socket}", "--policy", "every_frame")
    (stream,) = found.values()
    assert (stream["encoded"], stream["missing"], stream["closed"]) == (20, 0, True)
    assert (stream["clock"], stream["time_base"]) == ("pts", "1/1000")


def test_every_example_is_tested() -> None:
    tested = {"push_frames.py", "render_streets.py", "segment_recording.py"}
    tested.add("subscribe.py")  # by test_live_sinks
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
