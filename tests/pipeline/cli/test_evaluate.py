"""`icstream evaluate` as a user meets it."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from icstream.model import Checkpoint, Segmenter, load_weights
from icstream.model.runtimes import cpu_does_bf16
from icstream.pipeline import segment
from icstream.stages.confusion import Confusion
from support.clips import make_clip
from support.commands import call, error_line
from support.street_samples import street_sample, write_streets

STREETS = ("--weights", "streets")


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three streets in CamVid's numbering, where 11 is void: two in val, one in train."""
    return write_streets(tmp_path_factory.mktemp("data"), train=[2], val=[0, 1])


@pytest.mark.slow
def test_figures_and_images_are_written_and_agree(folder: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "copy.json"
    options = ["--precision", "fp32", "--device", "cpu", "--exits", "-o", out]
    done = call("evaluate", folder, *STREETS, *options, "--json", file)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    values = read(out / "evaluation.json")
    assert values == read(file)
    segmenter = Segmenter(load_weights("streets"), device="cpu", precision="fp32")
    confusion = Confusion(11)
    for sample in (street_sample(0), street_sample(1)):
        assert sample.ids_HW is not None
        confusion.add(segmenter(sample.rgb_HW3), sample.ids_HW)
    assert values["confusion"]["pixels"] == confusion.counts.tolist()
    assert values["miou"] == confusion.miou()
    assert values["num_frames"] == 2
    assert values["exits"]["sub124"]["miou"] == pytest.approx(values["miou"], abs=1e-3)
    assert values["exits"].keys() == {"sub124", "sub24", "sub4"}
    assert values["chosen"]["precision"] == "fp32"
    assert f"mIoU {100 * values['miou']:.2f} %" in done.stderr
    assert values["protocol"] in done.stderr
    for name in ("confusion.png", "frames.png"):
        with Image.open(out / name) as image:
            assert min(image.size) > 400

    again = call("evaluate", folder, *STREETS, "-o", out)
    assert again.returncode == 2
    assert "contains evaluation.json, confusion.png, frames.png" in again.stderr
    train = call("evaluate", folder, *STREETS, "-o", out, "--overwrite", "--split", "train")
    assert train.returncode == 0
    assert read(out / "evaluation.json")["num_frames"] == 1


@pytest.mark.slow
def test_samples_that_cannot_be_read_give_exit_code_3(folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "data"
    shutil.copytree(folder, damaged)
    image = damaged / "images" / "s0.png"
    image.write_bytes(image.read_bytes()[:1000])
    done = call("evaluate", damaged, *STREETS, "--json", "-")
    assert done.returncode == 3
    values = json.loads(done.stdout)
    assert values["num_frames"] == 1
    assert [sample["name"] for sample in values["corrupted"]] == ["s0"]
    assert "Traceback" not in done.stderr
    (damaged / "images" / "s1.png").write_bytes(b"")
    done = call("evaluate", damaged, *STREETS)
    assert done.returncode == 2
    assert "none of the 2 samples can be used" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not cpu_does_bf16(), reason="this processor has no bf16 instructions")
def test_a_measured_agreement_stays_in_the_weights_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    load_weights("streets").save(file)
    before = Checkpoint.load(file)
    options = ["--device", "cpu", "--write-agreement", "bf16", "--json", "-"]
    done = call("evaluate", folder, "--weights", file, *options)
    assert done.returncode == 0, done.stderr
    after = Checkpoint.load(file)
    stated = json.loads(done.stdout)["agreement"]["agreement"]
    assert after.agreement["bf16"].pixels == stated["pixels"]
    assert stated["measured_on"].startswith("2 frames of ")
    assert str(folder) not in stated["measured_on"]
    assert after.digest() == before.digest()
    assert "bf16 against fp32: same class on" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", *STREETS], "nowhere: no such folder"),
        (["{folder}", *STREETS, "--split", "test"], "no samples in the split 'test'"),
        (["{folder}", *STREETS, "--format", "cityscapes"], "cityscapes|leftImg8bit"),
        (["{folder}", *STREETS, "--precision", "fp8"], "--precision"),
        (
            ["{folder}", *STREETS, "--write-agreement", "bf16"],
            "file that can be written, got streets",
        ),
        (["{folder}", *STREETS, "-o", "{file}"], "is a file, but a folder is needed"),
        (["{folder}", *STREETS, "--temporal", "--exits"], "--temporal: needs no labels"),
        (["synthetic:size=64x64", *STREETS, "--temporal"], "must be one recording"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    folder: Path, arguments: list[str], words: str
) -> None:
    places = {"folder": folder, "file": folder / "val.txt"}
    done = call("evaluate", *(argument.format(**places) for argument in arguments))
    assert done.returncode == 2
    assert any(part in error_line(done, after_log=True) for part in words.split("|"))


@pytest.mark.slow
def test_samples_can_be_chosen_by_name_from_all_splits(folder: Path) -> None:
    done = call("evaluate", folder, *STREETS, "--select", "s[02]", "--json", "-")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["split"] == "s[02]"
    assert values["num_frames"] == 2
    assert values["protocol"].startswith("split s[02], 2 frames; ")
    assert sorted(frame["name"] for frame in values["worst"]) == ["s0", "s2"]


@pytest.mark.slow
def test_weights_for_other_classes_are_scored_on_those_in_common(folder: Path) -> None:
    done = call("evaluate", folder, "--weights", "random", "--json", "-")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert len(values["confusion"]["true"]) == 11
    assert len(values["confusion"]["predicted"]) == 24
    assert any("matched by name" in note for note in values["notes"])
    assert "matched by name" in done.stderr


@pytest.mark.slow
def test_real_images_can_be_scored(data_dir: Path) -> None:
    done = call("evaluate", data_dir / "camvid_sly_small", *STREETS, "--json", "-")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["num_frames"] == 8
    assert any("background: not in the weights" in note for note in values["notes"])
    assert 0.05 < values["miou"] < 0.6


def test_the_stability_of_masks_needs_no_labels(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=range(6), size=(96, 160))
    done = call("evaluate", clip, *STREETS, "--temporal", "-o", tmp_path / "out", "--json", "-")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values == read(tmp_path / "out" / "evaluation.json")
    masks = [frame.class_ids for frame in segment(clip, weights="streets")]
    changed = [float((a != b).mean()) for a, b in pairwise(masks)]
    assert values["changed"] == pytest.approx(sum(changed) / 5)
    assert values["num_pairs"] == 5
    assert f"{100 * values['changed']:.2f} % of pixels change class" in done.stderr


def test_a_recording_that_is_cut_off_is_scored_with_exit_code_3(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", pts=range(40), size=(96, 160))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    done = call("evaluate", clip, *STREETS, "--temporal", "--json", "-")
    assert done.returncode == 3
    assert 0 < json.loads(done.stdout)["num_pairs"] < 39
    assert "incomplete: " in done.stderr
