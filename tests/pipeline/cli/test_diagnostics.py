"""Commands beside the work: schema, doctor, bench, version, demo and help."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from icstream.stages.sinks import SINKS
from support.clips import make_clip
from support.commands import call, icstream


def test_the_schema_describes_every_setting() -> None:
    done = call("config", "schema")
    assert done.returncode == 0
    schema = json.loads(done.stdout)
    assert schema["properties"].keys() == {
        *("decode", "fit", "images", "live", "model", "output", "pipeline", "source", "streams"),
        *("supervision", "view"),
    }
    assert "Checkpoint" in json.dumps(schema["$defs"]["ModelSettings"])


def test_the_schema_of_annotating_is_printed_too() -> None:
    done = call("config", "schema", "--of", "annotate")
    assert done.returncode == 0
    assert json.loads(done.stdout)["properties"].keys() == {"model", "mode"}


@pytest.mark.slow
def test_the_doctor_finds_this_machine_able(tmp_path: Path) -> None:
    done = call("doctor", "--json", tmp_path / "doctor.json")
    assert done.returncode == 0, done.stderr
    findings = json.loads((tmp_path / "doctor.json").read_text())
    assert findings.keys() >= {"python", "torch", "codecs", "openvino", "cuda", "weights"}
    assert all(finding["ok"] for finding in findings.values())


@pytest.mark.slow
def test_bench_gives_exactly_three_ratios(tmp_path: Path) -> None:
    made = make_clip(tmp_path / "clip.mp4", pts=tuple(range(16)))
    options = ["--weights", "streets", "--frames", 12, "--rounds", 1]
    done = call("bench", made, *options, "--json", "-")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["ratios"].keys() == {"pipeline_vs_naive", "pipeline_vs_bare", "engine_vs_eager"}
    assert all(ratio > 0 for ratio in values["ratios"].values())
    assert call("bench", tmp_path, *options).returncode == 0
    too_short = make_clip(tmp_path / "short.mp4", pts=tuple(range(8)))
    done = call("bench", too_short, "--weights", "streets", "--frames", 10, "--rounds", 1)
    assert done.returncode == 0
    wrong = call("bench", made, made)
    assert wrong.returncode == 2


def test_the_version_is_that_of_the_package() -> None:
    done = call("--version")
    assert re.fullmatch(r"icstream \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.slow
def test_the_demo_is_right_about_its_own_truth(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = icstream("demo", "-o", out, "--json", "-")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["exact_times"]
    assert figures["miou"] > 0.5
    assert figures["pixel_accuracy"] > 0.85
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 3 * 480
    assert (out / "street" / "overlay.mp4").stat().st_size > 10_000
    assert json.loads((out / "report.json").read_text())["streams"]["street"]["encoded"] == 75


def test_the_help_names_every_sink_and_loads_none() -> None:
    code = (
        "import sys; from icstream.pipeline.cli.run import Sinks;"
        "print(Sinks.__metadata__[0].help, 'icstream.stages.sinks.registry' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    named = ", ".join(SINKS)
    assert done.stdout.strip() == f"Result to write: {named} or publish; repeatable. False"
