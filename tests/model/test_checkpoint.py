"""Checkpoints: what is written comes back, and what is wrong is named."""

import hashlib
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from icstream.model import (
    CAMVID,
    Agreement,
    Checkpoint,
    CheckpointError,
    Fit,
    ICNet,
    ICNetConfig,
    LabelSet,
    Preprocessing,
    load_weights,
    random_checkpoint,
    weight_names,
)
from icstream.model.activation_ranges import Ranges


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    model = ICNet(ICNetConfig(num_classes=11, width=0.0625, variant="supervisely"))
    made = Checkpoint.of(model, CAMVID, training={"steps": 7})
    agreement = {"bf16": Agreement(0.998, -0.1, "ten frames")}
    return replace(made, preprocessing=Preprocessing(order="rgb"), agreement=agreement)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_all_of_it_comes_back(checkpoint: Checkpoint, tmp_path: Path, dtype: torch.dtype) -> None:
    stored = replace(checkpoint, tensors={k: v.to(dtype) for k, v in checkpoint.tensors.items()})
    stored.save(tmp_path / "w.safetensors")
    loaded = Checkpoint.load(tmp_path / "w.safetensors")
    assert loaded.config == checkpoint.config
    assert loaded.labels == CAMVID
    assert loaded.preprocessing == checkpoint.preprocessing
    assert loaded.agreement == checkpoint.agreement
    assert loaded.training == {"steps": 7}
    assert loaded.digest() == stored.digest()
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
    model = loaded.build()
    assert not model.training
    weight = checkpoint.tensors["conv1_1.conv.weight"].to(dtype).float()
    assert torch.equal(model.conv1_1.conv.weight, weight)


def test_the_bytes_of_a_file_are_those_that_0_1_0_wrote(tmp_path: Path) -> None:
    """Files of one content have one hash, whichever version wrote them."""
    torch.manual_seed(0)
    model = ICNet(ICNetConfig(num_classes=2, width=1 / 64))
    for i, parameter in enumerate(model.parameters()):
        torch.nn.init.constant_(parameter, i)
    labels = LabelSet.from_values([("a", (0, 0, 0)), ("b", (1, 2, 3))])
    made = replace(
        Checkpoint.of(model, labels, training={"steps": 7}, fit=Fit("stretch", (97, 129))),
        preprocessing=Preprocessing(order="rgb"),
        agreement={"bf16": Agreement(0.998, -0.1, "ten frames")},
        ranges=Ranges({"conv1_2": 1.5}, "ten frames"),
    )
    made.save(tmp_path / "w.safetensors")
    written = (tmp_path / "w.safetensors").read_bytes()
    # Taken from the file that 0.1.0 writes.
    assert (
        hashlib.sha256(written).hexdigest()
        == "d936a258ef3437bc2677603e8f6d92ced841cc151ad7f4788bc2a46478fa5f6a"
    )


def test_the_default_weights_are_written_as_they_were_read(tmp_path: Path) -> None:
    load_weights("camvid").save(tmp_path / "w.safetensors")
    shipped = files("icstream.model") / "weights" / "camvid.safetensors"
    assert (tmp_path / "w.safetensors").read_bytes() == shipped.read_bytes()


def test_a_file_is_read_without_pytorch_and_leaves_nothing_in_the_cache(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint.save(tmp_path / "w.safetensors")
    code = (
        "import sys; from pathlib import Path; from icstream.model import Checkpoint;"
        "print(Checkpoint.load(Path(sys.argv[1])).digest(), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "w.safetensors")]
    environment = {**os.environ, "ICSTREAM_CACHE": str(tmp_path / "cache")}
    printed = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed.split() == [checkpoint.digest(), "False"]
    assert not (tmp_path / "cache").exists()


def test_different_weights_have_different_digests(checkpoint: Checkpoint) -> None:
    name = "classifier.bias"
    other = replace(checkpoint, tensors={**checkpoint.tensors, name: checkpoint.tensors[name] + 1})
    assert other.digest() != checkpoint.digest()


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.pop(name)


def changed(name: str, shape: tuple[int, ...]) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (without("classifier.bias"), "missing classifier.bias"),
        (changed("extra.weight", (2,)), "unknown extra.weight"),
        (changed("classifier.bias", (12,)), "classifier.bias is 12, the network has 11"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    checkpoint: Checkpoint,
    tmp_path: Path,
    edit: Callable[[dict[str, Tensor]], object],
    words: str,
) -> None:
    tensors = dict(checkpoint.tensors)
    edit(tensors)
    path = tmp_path / "w.safetensors"
    replace(checkpoint, tensors=tensors).save(path)
    with pytest.raises(CheckpointError, match=words) as caught:
        Checkpoint.load(path)
    assert str(path) in str(caught.value)


def test_many_faults_are_shortened(checkpoint: Checkpoint) -> None:
    (problem,) = replace(checkpoint, tensors={}).problems()
    assert problem.startswith("missing ")
    assert "more" in problem
    assert len(problem) < 300


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "no icstream header"),
        ("{", "damaged header"),
        (json.dumps({"version": 99}), "written in format 99"),
        (json.dumps({"version": 1}), "damaged header"),
        (json.dumps({"version": 1, "preprocessing": {}}), "damaged header"),
        ("[]", "damaged header"),
    ],
)
def test_other_headers_are_refused(tmp_path: Path, header: str | None, words: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata=header and {"icstream": header})  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=words):
        Checkpoint.load(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            {"fit": {"mode": "stretch", "size": [100_000, 100_000]}},
            "fit size 100000x100000: 10000000000 pixels are more than the allowed 67108864",
        ),
        ({"fit": {"mode": "letterbox", "size": [64, 1 << 40]}}, "more than the allowed 67108864"),
        ({"fit": {"mode": "stretch", "size": [math.inf, 64]}}, "damaged header"),
        ({"fit": {"mode": "mirror", "size": [640, 640]}}, "fit mode: got 'mirror', allowed are"),
        ({"fit": {"double_below": 10**9}}, r"got 1000000000, allowed are 0\.\.10000"),
        ({"fit": {"double_below": "all"}}, "got 'all', allowed are"),
        (
            {"preprocessing": {"mean_rgb": [1, 2, 3], "std_rgb": [1, 1, math.nan], "order": "rgb"}},
            "std_rgb .* allowed are means",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_header_with_a_fit_beyond_the_limits_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, entry: dict[str, object], words: str
) -> None:
    path = tmp_path / "w.safetensors"
    checkpoint.save(path)
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    header = json.dumps(json.loads(metadata["icstream"]) | entry)
    save_file(dict(checkpoint.tensors), path, metadata={"icstream": header})
    with pytest.raises(CheckpointError, match=words) as caught:
        Checkpoint.load(path)
    assert str(path) in str(caught.value)


def test_a_header_of_endless_depth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"icstream": 100_000 * "["})
    with pytest.raises(CheckpointError, match="damaged header"):
        Checkpoint.load(path)


def test_tensors_that_are_no_floating_point_numbers_are_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    numbers = {"classifier.bias": torch.zeros(11, dtype=torch.int64)}
    replace(checkpoint, tensors={**checkpoint.tensors, **numbers}).save(path)
    with pytest.raises(CheckpointError, match="bias holds I64, floating-point numbers are needed"):
        Checkpoint.load(path)


def test_a_file_for_which_there_is_no_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.safetensors"
    path.touch()
    os.truncate(path, 2**42)
    with pytest.raises(CheckpointError, match=r"reading it takes 13,194,139 MB of memory, .* are"):
        Checkpoint.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"\x80\x02}q\x00." * 40)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        Checkpoint.load(tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="no such file"):
        Checkpoint.load(tmp_path / "none")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        Checkpoint.load(tmp_path)


def test_a_label_set_of_another_size_is_refused(checkpoint: Checkpoint) -> None:
    two = LabelSet.from_values([("a", (0, 0, 0)), ("b", (1, 1, 1))])
    with pytest.raises(CheckpointError, match="11 classes, its label set 2"):
        replace(checkpoint, labels=two)


def test_random_weights_are_the_same_every_time() -> None:
    first, second = random_checkpoint(), load_weights("random")
    assert first.digest() == second.digest()
    assert (first.config.variant, first.config.num_classes) == ("paper", 19)


def test_names_that_are_unknown_come_with_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match=r"known: .*random.*did you mean random"):
        load_weights("randon")


def test_every_shipped_name_loads_and_is_small() -> None:
    for name in weight_names():
        assert load_weights(name).problems() == []


def test_files_hold_no_step_counters(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "w.safetensors")
    assert not [k for k in load_file(tmp_path / "w.safetensors") if "num_batches" in k]
