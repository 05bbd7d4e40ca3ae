"""Loader processes: what they raise, where there is no memory to share, and when one is killed."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from icstream.model import ConfigError
from icstream.stages.train.loader import LoaderError, load_batches

KILLED, REFUSED = 100, 101


@dataclass(frozen=True, slots=True)
class Numbers:
    """A batch."""

    values_N: Tensor
    note: str


class Views(Dataset[int]):
    """Numbers; two of them are the end of the process or an error."""

    def __getitem__(self, item: int) -> int:
        if item == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == REFUSED:
            raise ConfigError("this one cannot be used")
        return item


def stacked(made: list[int]) -> Numbers:
    return Numbers(torch.tensor(made), note=f"{len(made)} numbers")


def load(*batches: list[int], workers: int) -> Iterator[Numbers]:
    found: Iterator[Any] = load_batches(Views(), batches, workers=workers, collate=stacked)
    return found


def test_a_process_that_is_killed_is_one_error_after_what_was_whole() -> None:
    handler = signal.getsignal(signal.SIGCHLD)
    loaded = load([1, 2], [3], [4], [5], [6, KILLED], workers=1)
    # Two batches are under way while one is looked at, so these come before the end.
    assert [next(loaded).values_N.tolist() for _ in range(3)] == [[1, 2], [3], [4]]
    # PyTorch's handler of SIGCHLD would raise in the middle of a training step.
    assert signal.getsignal(signal.SIGCHLD) is handler
    with pytest.raises(LoaderError, match="was killed, perhaps for lack of memory") as caught:
        list(loaded)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_ours_comes_out_as_it_is(workers: int) -> None:
    with pytest.raises(ConfigError) as caught:
        list(load([1], [REFUSED], workers=workers))
    assert str(caught.value) == "this one cannot be used"


def test_without_shared_memory_batches_come_through_pipes_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_tensor: Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(Tensor, "share_memory_", full)
    found = list(load([1, 2], [3], workers=1))
    assert [(batch.values_N.tolist(), batch.note) for batch in found] == [
        ([1, 2], "2 numbers"),
        ([3], "1 numbers"),
    ]
    assert caplog.text.count("/dev/shm has no room") == 1
    assert "--shm-size" in caplog.text
    assert "data_workers.train=0" in caplog.text


def test_processes_that_cannot_be_started_are_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.utils.data.dataloader._MultiProcessingDataLoaderIter", full)
    with pytest.raises(ConfigError, match=r"cannot be started \(No space left .*/dev/shm"):
        next(load([1], workers=1))
