"""The processes that load images: what they make, and what becomes of a training without them.

PyTorch's `DataLoader` runs them. What it leaves open is settled here: errors of ours come out as
they are, a batch for which there is no shared memory comes another way, and a process that was
killed is one error between two batches.
"""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from icstream.model import ConfigError
from icstream.model.errors import IcstreamError
from icstream.model.orphans import end_with_parent

log = logging.getLogger(__name__)

_REMEDY = (
    "give /dev/shm more room (docker run --shm-size), or let the trainer load images itself"
    " (data_workers.train=0, data_workers.val=0)"
)


class LoaderError(IcstreamError):
    """A process that loads images is gone."""


def load_batches(
    views: Dataset[Any],
    batches: Iterable[list[Any]],
    *,
    workers: int,
    collate: Callable[[list[Any]], Any],
) -> Iterator[Any]:
    """Yield the batches in order, as they are made.

    Args:
        views: what batches are made of.
        batches: the items of `views` that each batch consists of.
        workers: processes that load; with 0 this one does.
        collate: makes a batch of the list of its views. Tensors that are fields of it come through
            shared memory.

    Raises:
        IcstreamError: what `views` raised.
        ConfigError: the processes cannot be started.
        LoaderError: one of them was killed; what was yielded before is whole.
    """
    made = _started(views, batches, workers=workers, collate=collate)
    is_said = False
    while True:
        try:
            batch = next(made, None)
        except (RuntimeError, OSError, EOFError) as error:
            # Without processes, and as PyTorch passes it on, it is a mistake of ours.
            if workers == 0 or str(error).startswith("Caught "):
                raise
            reason = str(error).partition("\n")[0].rstrip(". ")
            raise LoaderError(
                f"a process that loads images was killed, perhaps for lack of memory ({reason})"
            ) from error
        if batch is None:
            return
        if isinstance(batch, _Raised):
            raise batch.error
        if isinstance(batch, _Piped):
            if not is_said:
                log.warning("/dev/shm has no room for a batch, which takes longer: %s", _REMEDY)
                is_said = True
            batch = batch.unpacked()
        yield batch


def _started(
    views: Dataset[Any],
    batches: Iterable[list[Any]],
    *,
    workers: int,
    collate: Callable[[list[Any]], Any],
) -> Iterator[Any]:
    """Return the batches of a loader whose processes run.

    Raises:
        ConfigError: they cannot be started.
    """
    with warnings.catch_warnings(), _own_child_signals():
        # More workers than cores are the user's choice; PyTorch would warn of them at every epoch.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        loader: DataLoader[Any] = DataLoader(
            _Guarded(views),
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_Collate(collate),
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_EndWithTrainer(os.getpid()),
        )
        try:
            return iter(loader)
        except OSError as error:
            raise ConfigError(
                f"processes that load images cannot be started ({error.strerror}): {_REMEDY}"
            ) from error


@contextmanager
def _own_child_signals() -> Iterator[None]:
    """Keep PyTorch from handling SIGCHLD, as it would raise in the middle of a training step.

    It finds out that a process is gone when the next batch is due, too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, handler)


@dataclass(frozen=True, slots=True)
class _EndWithTrainer:
    """Ends a loader process with the trainer.

    It may wait to write into a pipe whose other end it holds too, and so would never notice.
    """

    trainer: int

    def __call__(self, _worker: int) -> None:
        end_with_parent(self.trainer)


@dataclass(frozen=True, slots=True)
class _Raised:
    """An error that ends the training, on its way out of a loader process."""

    error: IcstreamError


class _Guarded(Dataset[Any]):
    """The views, or what they raised."""

    def __init__(self, views: Dataset[Any]) -> None:
        self._views = views

    def __getitem__(self, item: Any) -> Any:
        try:
            return self._views[item]
        except IcstreamError as error:
            return _Raised(error)


@dataclass(frozen=True, slots=True)
class _Collate:
    """The function that makes a batch in a loader process, and puts it where it can be sent."""

    collate: Callable[[list[Any]], Any]

    def __call__(self, made: list[Any]) -> Any:
        for view in made:
            if isinstance(view, _Raised):
                return view
        batch = self.collate(made)
        if get_worker_info() is None or not _tensors(batch):
            return batch
        try:
            for tensor in _tensors(batch).values():
                tensor.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError:
            # PyTorch would try the same in a thread that nobody waits for, and lose the batch.
            return _Piped.of(batch)
        return batch


@dataclass(frozen=True, slots=True)
class _Piped:
    """A batch whose tensors are arrays, which come through a pipe and not by shared memory."""

    batch: Any
    arrays: dict[str, np.ndarray[Any, Any]]

    @classmethod
    def of(cls, batch: Any) -> "_Piped":
        """Return a batch in this form."""
        arrays = {name: tensor.numpy().copy() for name, tensor in _tensors(batch).items()}
        return cls(replace(batch, **dict.fromkeys(arrays)), arrays)

    def unpacked(self) -> Any:
        """Return the batch as it was."""
        tensors = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        return replace(self.batch, **tensors)


def _tensors(batch: Any) -> dict[str, torch.Tensor]:
    """Return the tensors that are fields of a dataclass, by their names."""
    if not is_dataclass(batch):
        return {}
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
