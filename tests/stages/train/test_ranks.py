"""Two processes that train together, started by torchrun, on the processor."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from support.trainings import equal_tensors, read_tensors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).with_name("rank.py")


def together(count: int, folder: Path, case: str) -> list[dict[str, Any]]:
    """Return what each rank found."""
    folder.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc-per-node={count}", str(SCRIPT), str(folder), case),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(SCRIPT.parents[2]),
        "PYTHONWARNINGS": "default",
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(count)]


def test_two_ranks_take_the_steps_that_one_takes_with_twice_the_batch(tmp_path: Path) -> None:
    found = together(2, tmp_path / "two", "plain")
    (alone,) = together(1, tmp_path / "one", "double")
    assert found[0]["losses"] == found[1]["losses"]
    assert found[0]["losses"] == pytest.approx(alone["losses"], rel=1e-3)
    assert found[0]["validation"] == found[1]["validation"]
    one, two = read_tensors(tmp_path / "one"), read_tensors(tmp_path / "two")
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=2e-3), name


def test_both_ranks_count_corrupted_samples_together(tmp_path: Path) -> None:
    found = together(2, tmp_path / "run", "corrupted")
    # Two samples, and whichever rank meets them, one is too many for an allowance of one.
    texts = [rank["error"] for rank in found]
    assert texts[0] == texts[1]
    assert texts[0].startswith("2 corrupted training samples, allowed are 1: ")


def test_ranks_go_on_together_to_the_same_bits(tmp_path: Path) -> None:
    whole = together(2, tmp_path / "whole", "norm")
    together(2, tmp_path / "parts", "norm-stop")
    found = together(2, tmp_path / "parts", "norm-resume")
    losses = whole[0]["losses"]
    assert 0 < len(found[0]["losses"]) < len(losses)
    assert found[0]["losses"] == losses[-len(found[0]["losses"]) :]
    one, two = read_tensors(tmp_path / "whole"), read_tensors(tmp_path / "parts")
    assert equal_tensors(one, two)
