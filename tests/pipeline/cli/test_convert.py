"""`icstream convert` as a user meets it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from icstream.model import Checkpoint, ICNet, ICNetConfig, random_checkpoint
from icstream.model.icnet import initialize
from support.caffe_files import caffemodel, merged, random_blobs
from support.clips import make_clip
from support.commands import call, error_line
from support.plugin_weights import plugin_config, plugin_state, write_model_folder
from support.stripes import LABELS, Stripes

WIDTH = 1 / 16


def plugin_model() -> ICNet:
    """A network for the stripes' classes, of which the first is the background."""
    config = ICNetConfig(num_classes=len(LABELS), variant="supervisely", width=WIDTH)
    model = ICNet(config)
    initialize(model, seed=0)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder of the plugin."""
    pairs = zip(LABELS.names, LABELS.colors, strict=True)
    classes = {name: f"#{bytes(color).hex()}" for name, color in pairs}
    del classes[LABELS.names[0]]
    state = plugin_state(plugin_model())
    return write_model_folder(tmp_path_factory.mktemp("model"), state, plugin_config(classes))


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    out = folder.parent / "own" / "converted.safetensors"
    done = call("convert", folder, "-o", out, "--json", folder.parent / "report.json")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "ignored, stored but never used by the plugin: 4: pyramid_pooling" in done.stderr
    return out


@pytest.mark.slow
def test_the_checkpoint_and_the_report_describe_the_conversion(folder: Path, weights: Path) -> None:
    checkpoint = Checkpoint.load(weights)
    report: dict[str, Any] = json.loads((folder.parent / "report.json").read_text())
    assert sorted(report["matched"]) == sorted(checkpoint.tensors)
    assert report["renamed"]["classification.bias"] == "classifier.bias"
    assert report["missing"] == {}
    assert checkpoint.training["converted"]["from"] == report["source"]
    assert checkpoint.labels.names[1:] == LABELS.names[1:]


@pytest.mark.slow
def test_converted_weights_run(weights: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=(0, 1))
    options = ["--device", "cpu", "--precision", "fp32", "--sink", "png", "--replicas", "1"]
    done = call("run", clip, "-o", tmp_path / "out", "--weights", weights, *options)
    assert done.returncode == 0, done.stderr
    masks = sorted((tmp_path / "out").rglob("*.png"))
    with Image.open(masks[0]) as mask:
        assert (len(masks), mask.size) == (2, (96, 64))
        assert np.asarray(mask).max() < len(LABELS)


@pytest.mark.slow
def test_converted_weights_start_a_training(weights: Path, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "config.yaml"
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
    for number in range(2):
        image = Stripes(number).load()
        Image.fromarray(image.rgb_HW3).save(data / "images" / f"{number}.png")
        Image.fromarray(image.ids_HW).save(data / "labels" / f"{number}.png")
    for split in ("train", "val"):
        (data / f"{split}.txt").write_text("0\n1\n")
    checkpoint = Checkpoint.load(weights)
    classes = list(zip(checkpoint.labels.names, checkpoint.labels.colors, strict=True))
    (data / "classes.json").write_text(json.dumps(classes))
    # a rate this small leaves the weights where they were, to be recognized
    config.write_text(
        "epochs: 1\nlr: 1.0e-12\nweights_init_type: continue_training\n"
        "input_size: {height: 65, width: 65}\ndata_workers: {train: 0, val: 0}\n"
        "recipe: {width: 0.0625, variant: supervisely, label_guidance: shrunk}\n"
    )
    run = tmp_path / "run"
    options = ["--data", data, "-o", run, "--init", weights, "--threads", 1]
    done = call("train", config, *options)
    assert done.returncode == 0, done.stderr
    trained = Checkpoint.load(run / "last.safetensors").tensors
    for name in ("conv4.3.conv3x3.conv.weight", "classifier.weight"):
        assert torch.allclose(trained[name], checkpoint.tensors[name], atol=1e-6)


def test_caffemodels_are_converted_with_classes_of_ones_own(tmp_path: Path) -> None:
    source, classes = tmp_path / "net.caffemodel", tmp_path / "classes.json"
    source.write_bytes(caffemodel(merged(random_blobs(WIDTH, num_classes=2))))
    out = tmp_path / "own.safetensors"
    done = call("convert", source, "-o", out)
    assert done.returncode == 2
    assert "name them with --classes FILE.json" in done.stderr
    classes.write_text(json.dumps([["road", [1, 2, 3]], ["car", [4, 5, 6]]]))
    done = call("convert", source, "-o", out, "--classes", classes, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["source"] == "caffemodel without batch norm"
    assert Checkpoint.load(out).labels.names == ("road", "car")


def test_a_failure_hands_on_its_report_and_leaves_no_file(tmp_path: Path) -> None:
    blobs = random_blobs(WIDTH)
    del blobs["conv5_4_k1"]
    source, out = tmp_path / "net.caffemodel", tmp_path / "own.safetensors"
    source.write_bytes(caffemodel(blobs))
    done = call("convert", source, "-o", out, "--json", tmp_path / "report.json")
    assert done.returncode == 2
    assert error_line(done) == f"icstream: {source}: missing conv5_4_k1:0"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["missing"] == {"conv5_4_k1:0": "conv5_4.conv.weight"}
    assert not out.exists()


def test_wrong_use_is_one_line_and_exit_code_2(folder: Path, tmp_path: Path) -> None:
    there, own = tmp_path / "there.safetensors", tmp_path / "own.safetensors"
    there.write_bytes(b"something")
    random_checkpoint().save(own)
    for arguments, words in [
        ([folder, "-o", there], "already exists; choose another file, or --overwrite"),
        ([there, "-o", there, "--overwrite"], "is the source"),
        ([folder, "-o", tmp_path], "is a folder, but a file is needed"),
        ([own, "-o", tmp_path / "new"], "already a checkpoint of icstream"),
        ([there, "-o", tmp_path / "new"], "not recognized: looked for"),
        ([tmp_path / "none", "-o", tmp_path / "new"], "no none there"),
        ([folder, "-o", tmp_path / "new", "--classes", there], "there.safetensors"),
    ]:
        done = call("convert", *arguments)
        assert done.returncode == 2
        assert words in error_line(done)
    assert there.read_bytes() == b"something"
    assert call("convert", folder, "-o", there, "--overwrite").returncode == 0
    assert Checkpoint.load(there).config.variant == "supervisely"
