"""Two processes that train together, started by torchrun, on the processor."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from support.stripes import stripes_data
from support.trainings import SMALL_BATCHES, Silent, equal_tensors, read_tensors, train_stripes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).with_name("rank.py")


def train_together(folder: Path, *cases: str) -> None:
    """Run a few trainings, one after another, in the same two processes."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node=2", str(SCRIPT), str(folder), *cases),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(SCRIPT.parents[2]),
        "PYTHONWARNINGS": "default",
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


def found_by_ranks(folder: Path, case: str) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{case}.rank{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of trainings in the same processes, as starting those takes longest."""
    folder = tmp_path_factory.mktemp("together")
    train_together(folder, "plain", "norm", "norm-stop", "corrupted")
    return folder


def test_two_ranks_take_the_steps_that_one_takes_with_twice_the_batch(
    trained: Path, tmp_path: Path
) -> None:
    found = found_by_ranks(trained, "plain")
    alone = Silent()
    twice = replace(SMALL_BATCHES, batch_train=2 * SMALL_BATCHES.batch_train)
    train_stripes(twice, tmp_path / "one", data=stripes_data(num_train=8), display=alone)
    assert found[0]["losses"] == found[1]["losses"]
    assert found[0]["losses"] == pytest.approx(alone.losses, rel=1e-3)
    assert found[0]["validation"] == found[1]["validation"]
    one, two = read_tensors(tmp_path / "one"), read_tensors(trained / "plain")
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=2e-3), name


def test_both_ranks_count_corrupted_samples_together(trained: Path) -> None:
    # Two samples, and whichever rank meets them, one is too many for an allowance of one.
    texts = [rank["error"] for rank in found_by_ranks(trained, "corrupted")]
    assert texts[0] == texts[1]
    assert texts[0].startswith("2 corrupted training samples, allowed are 1: ")


def test_ranks_go_on_together_to_the_same_bits(trained: Path) -> None:
    train_together(trained, "norm-stop-resume")
    losses = found_by_ranks(trained, "norm")[0]["losses"]
    resumed = found_by_ranks(trained, "norm-stop-resume")[0]["losses"]
    assert 0 < len(resumed) < len(losses)
    assert resumed == losses[-len(resumed) :]
    assert equal_tensors(read_tensors(trained / "norm"), read_tensors(trained / "norm-stop"))
