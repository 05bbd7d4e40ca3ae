"""`icstream train` as a user meets it."""

import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from icstream.model import Checkpoint, Fit
from support.commands import COMMAND, call, error_line, icstream
from support.projects import Project, bitmap, packed, thing
from support.stripes import LABELS, Stripes
from support.trainings import equal_tensors, read_metrics, read_tensors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own, with processes that load the data."""
    return icstream("train", *arguments, "--threads", 1, timeout_s=600)


def train_here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Train in this process, and load the data here too, as starting processes takes longest."""
    alone = ("--threads", 1, "--set", "data_workers={train: 0, val: 0}")
    return call("train", *arguments, *alone)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small data set of images, labels and lists."""
    folder = tmp_path_factory.mktemp("data")
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for split, numbers in (("train", range(8)), ("val", range(100, 102))):
        for number in numbers:
            image = Stripes(number).load()
            Image.fromarray(image.rgb_HW3).save(folder / "images" / f"{number}.png")
            Image.fromarray(image.ids_HW).save(folder / "labels" / f"{number}.png")
        (folder / f"{split}.txt").write_text("".join(f"{number}\n" for number in numbers))
    classes = list(zip(LABELS.names, LABELS.colors, strict=True))
    (folder / "classes.json").write_text(json.dumps(classes))
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe for it, in YAML."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(
        "epochs: 6\nbatch_size: {train: 2, val: 2}\ninput_size: {height: 65, width: 65}\n"
        "val_every: 2\nlr: 0.002\ncheckpoint_every_steps: 2\n"
        "recipe: {width: 0.0625, label_guidance: shrunk, ema: 0.9}\n"
    )
    return path


@pytest.fixture(scope="module")
def undisturbed(folder: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "calm"
    done = train(config, "--data", folder, "-o", out, "--json", out.with_suffix(".json"))
    assert done.returncode == 0, done.stderr
    return out


def test_a_run_leaves_weights_state_metrics_and_a_summary(undisturbed: Path) -> None:
    assert {path.name for path in undisturbed.iterdir()} >= {
        *("best.safetensors", "last.safetensors", "state.pt", "metrics.jsonl", "config.json"),
        "tensorboard",
    }
    result = json.loads(undisturbed.with_suffix(".json").read_text())
    assert (result["steps"], result["num_steps"], result["corrupted"]) == (24, 24, {})
    assert 0 <= result["validation"]["miou"] <= 1
    training = Checkpoint.load(undisturbed / "best.safetensors").training
    assert training["samples"] == {"train": 8, "val": 2}
    assert training["config"]["recipe"]["ema"] == 0.9


def test_killed_at_random_moments_it_goes_on_to_the_same_bits(
    folder: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, dice = tmp_path / "out", random.Random(1)
    command = [
        *COMMAND,
        "train",
        str(config),
        "--data",
        str(folder),
        "-o",
        str(out),
        "--threads",
        "1",
    ]
    num_kills = 0
    for _ in range(20):
        going_on = ["--resume"] if (out / "state.pt").exists() else ["--overwrite"]
        with subprocess.Popen([*command, *going_on], stderr=subprocess.DEVNULL) as process:
            target = steps_in(out) + dice.randint(3, 9)
            while process.poll() is None and (num_kills >= 3 or steps_in(out) < target):
                time.sleep(0.01)
            if process.poll() is None:
                process.kill()
                num_kills += 1
                continue
        break
    assert num_kills >= 2
    assert process.returncode == 0
    one, two = read_tensors(undisturbed), read_tensors(out)
    assert equal_tensors(one, two)
    assert steps_in(out) == 24
    assert read_metrics(out) == read_metrics(undisturbed)


def steps_in(out: Path) -> int:
    try:
        return (out / "metrics.jsonl").read_text().count('"train"')
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_it(
    number: signal.Signals, code: int, folder: Path, config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [
        *COMMAND,
        "train",
        str(config),
        "--data",
        str(folder),
        "-o",
        str(out),
        "--threads",
        "1",
    ]
    options = ["--set", "epochs=10000", "--set", "checkpoint_every_steps=0"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        while steps_in(out) < 2:
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == code, said
    assert "weights in" not in said
    assert "Traceback" not in said
    assert (out / "state.pt").exists()


def test_a_folder_that_is_in_use_is_not_touched(
    folder: Path, config: Path, undisturbed: Path
) -> None:
    before = (undisturbed / "state.pt").read_bytes()
    done = call("train", config, "--data", folder, "-o", undisturbed)
    assert done.returncode == 2
    assert "continue it with --resume, or replace it with --overwrite" in error_line(done)
    assert (undisturbed / "state.pt").read_bytes() == before


def test_what_is_refused_leaves_the_training_before_it_as_it_is(
    folder: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    void = tmp_path / "void"
    shutil.copytree(folder, void)
    for name in (void / "train.txt").read_text().split():
        Image.new("L", (100, 80), 255).save(void / "labels" / f"{name}.png")
    before = {path.name: path.read_bytes() for path in undisturbed.iterdir() if path.is_file()}
    for options, words in (
        ([void, "--overwrite"], "split 'train': no pixel has a class, all are void"),
        ([folder, "--resume", "--set", "lr=0.5"], "was begun with other settings"),
        ([folder, "--resume", "--overwrite"], "contradict each other"),
    ):
        done = call("train", config, "-o", undisturbed, "--data", *options)
        assert done.returncode == 2
        assert words in error_line(done, after_log=True)
    after = {path.name: path.read_bytes() for path in undisturbed.iterdir() if path.is_file()}
    assert after == before


def test_a_class_without_pixels_and_a_broken_validation_image_are_reported(
    folder: Path, config: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    for path in (data / "labels").iterdir():
        ids = np.asarray(Image.open(path)).copy()
        ids[ids == 2] = 255
        Image.fromarray(ids).save(path)
    (data / "images" / "100.png").write_bytes(b"no image")
    options = ["epochs=1", "data_workers.train=0", "allow_corrupted_samples.val=1"]
    done = call(
        *("train", config, "--data", data, "-o", tmp_path / "run", "--json", "-", "--threads", 1),
        *(word for option in options for word in ("--set", option)),
    )
    assert done.returncode == 3, done.stderr
    assert "class 'green' has no pixel in the training set; " in done.stderr
    assert "255, which is void" in done.stderr
    assert list(json.loads(done.stdout)["corrupted"]) == ["100"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such.yaml"], "no_such.yaml"),
        (["dashcam"], "dashcam"),
        (["train_plugin", "--set", "epoch=3"], "did you mean epochs?"),
        (["train_plugin", "--set", "weights_init_type=continue_training"], "needs --init"),
        (["train_plugin", "--init", "nothing.safetensors"], "no such file"),
        (["train_plugin", "--resume"], "nothing to resume"),
    ],
)
def test_impossible_trainings_are_refused_in_one_line(
    arguments: list[str], words: str, folder: Path, tmp_path: Path
) -> None:
    done = call("train", *arguments, "--data", folder, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert words in error_line(done)
    assert not (tmp_path / "out").exists()


def test_an_empty_split_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", {"car": "bitmap"})
    mask = bitmap((0, 0), packed(np.full((3, 3), 255, np.uint8)))
    project.add("a.png", tags=[{"name": "train"}], objects=[thing("car", mask)], size=(70, 80))
    done = call("train", "train_plugin", "--data", project.folder, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "val" in error_line(done)
    assert not (tmp_path / "out").exists()


def test_a_corrupted_sample_within_the_budget_gives_exit_code_3(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", {"car": "bitmap"})
    mask = bitmap((0, 0), packed(np.full((30, 30), 255, np.uint8)))
    for name, tag in (("a", "train"), ("b", "train"), ("c", "train"), ("d", "val")):
        project.add(f"{name}.png", tags=[tag], objects=[thing("car", mask)], size=(70, 80))
    (project.folder / "ds" / "img" / "b.png").write_bytes(b"no image")
    small = ["--set", "input_size.height=65", "--set", "input_size.width=65"]
    options = [*small, "--data", project.folder, "-o", tmp_path / "out"]
    done = train_here("train_plugin", *options)
    assert done.returncode == 2
    assert "1 corrupted training samples, allowed are 0: " in done.stderr
    allowed = ["--set", "allow_corrupted_samples.train=1", "--overwrite"]
    done = train_here("train_plugin", *options, *allowed)
    assert done.returncode == 3, done.stderr
    assert "b.png" in done.stderr


def test_the_plugins_readme_configuration_trains(data_dir: Path, tmp_path: Path) -> None:
    readme = data_dir / "plugin_configs" / "train_readme.json"
    # Its 2049x1025 takes minutes per step on two cores; everything else is as it stands there.
    small = ["--set", "input_size.height=129", "--set", "input_size.width=193"]
    out = tmp_path / "out"
    project = data_dir / "camvid_sly_small"
    done = train(readme, *small, "--set", "epochs=2", "--data", project, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "no CUDA device: training on the CPU" in done.stderr or torch.cuda.is_available()
    checkpoint = Checkpoint.load(out / "last.safetensors")
    assert checkpoint.labels.names[0] == "background"
    assert checkpoint.labels.names[1:] == tuple(sorted(checkpoint.labels.names[1:]))
    assert (len(checkpoint.labels), checkpoint.config.variant) == (12, "supervisely")
    assert checkpoint.fit == Fit("stretch", (129, 193))
    # Its classes are carried on by number when training continues from these weights.
    again = ["--set", "weights_init_type=continue_training", "--init", out / "last.safetensors"]
    options = [*small, *again, "--set", "epochs=1", "--data", project, "-o", tmp_path / "more"]
    done = train_here(readme, *options)
    assert done.returncode == 0, done.stderr


def test_splits_can_be_chosen_by_patterns_and_lists(
    folder: Path, config: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("100\n2\n")
    splits = [f"splits.train=['[0-3]', '@{names}']", "splits.val=['2', '101']"]
    options = [option for text in (*splits, "epochs=1") for option in ("--set", text)]
    done = train_here(config, "--data", folder, "-o", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert "1 samples are in both training and validation" in done.stderr
    training = Checkpoint.load(tmp_path / "run" / "last.safetensors").training
    assert training["samples"] == {"train": 5, "val": 2}
    wrong = call(
        *("train", config, "--data", folder, "-o", tmp_path / "no", "--set", "splits.val=[x*]")
    )
    assert wrong.returncode == 2
    assert "split 'val': 'x*' matches none of 10 samples" in error_line(wrong)
