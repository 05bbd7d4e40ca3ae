"""Damaged foreign files: an error of ours, or a checkpoint without faults; nothing else."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_safetensors

from icstream.model import CITYSCAPES, CheckpointError, ICNet, ICNetConfig, convert
from support.caffe_files import caffemodel, merged, random_blobs
from support.plugin_weights import plugin_config, plugin_state, write_model_folder

WIDTH = 1 / 64
NUM_DAMAGES = 60


def torch_file(*, old_file: bool) -> bytes:
    torch.manual_seed(0)
    model = ICNet(ICNetConfig(num_classes=19, variant="supervisely", width=WIDTH))
    stream = io.BytesIO()
    state = {"model_state": plugin_state(model), "best_iou": np.float64(0.5)}
    torch.save(state, stream, _use_new_zipfile_serialization=not old_file)
    return stream.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "zip.pt": lambda: torch_file(old_file=False),
    "old.pkl": lambda: torch_file(old_file=True),
    "new.caffemodel": lambda: caffemodel(random_blobs(WIDTH)),
    "old.caffemodel": lambda: caffemodel(merged(random_blobs(WIDTH)), form="v1"),
    "other.safetensors": lambda: save_safetensors({"a": torch.zeros(5)}, {"icstream": "{}"}),
}


def damages(content: bytes, seed: int) -> Iterator[bytes]:
    """Return the file cut off, with bytes changed, with parts lost or twice."""
    random = np.random.default_rng(seed)
    for k in range(NUM_DAMAGES):
        # half of the places lie where structure is: near the ends
        reach = len(content) if k % 2 else min(len(content), 2000)
        place = int(random.integers(reach))
        place = len(content) - 1 - place if k % 4 == 0 else place
        kind = k % 3
        if kind == 0:
            yield content[:place]
        elif kind == 1:
            changed = bytearray(content)
            for offset in range(min(1 + k // 6, len(content) - place)):
                changed[place + offset] = int(random.integers(256))
            yield bytes(changed)
        else:
            length = int(random.integers(1, 200))
            yield content[:place] + content[place + length :]
            yield content[: place + length] + content[place:]


def check(path: Path) -> bool:
    """True if it could be converted; any error but ours comes out of here."""
    try:
        converted = convert(path, classes=CITYSCAPES)
    except CheckpointError:
        return False
    assert converted.checkpoint.problems() == []
    return True


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_never_end_in_a_traceback(name: str, tmp_path: Path) -> None:
    content = FILES[name]()
    path = tmp_path / name
    path.write_bytes(content)
    assert check(path) == (not name.endswith("safetensors"))
    results = set()
    for damaged in damages(content, seed=len(name)):
        path.write_bytes(damaged)
        results.add(check(path))
    assert False in results


def test_damaged_configs_never_end_in_a_traceback(tmp_path: Path) -> None:
    model = ICNet(ICNetConfig(num_classes=19, variant="supervisely", width=WIDTH))
    config = json.dumps(plugin_config({f"c{k}": "#010203" for k in range(1, 19)})).encode()
    folder = write_model_folder(tmp_path / "m", plugin_state(model))
    for damaged in [b"", b"null", b"[" * 100_000, b"\xff\xfe", *damages(config, seed=1)]:
        (folder / "config.json").write_bytes(damaged)
        check(folder)
