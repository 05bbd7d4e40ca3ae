"""The processes that load images, and the handling of their failures.

PyTorch's `DataLoader` runs them. This module adds that icstream's errors are passed through
unchanged, that batches without shared memory are sent through a pipe, and that a killed process is
one error between two batches.
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
    "give /dev/shm more room (docker run --shm-size), or load images in the trainer"
    " (data_workers.train=0, data_workers.val=0)"
)


class LoaderError(IcstreamError):
    """A process that loads images was lost."""


def load_batches(
    views: Dataset[Any],
    batches: Iterable[list[Any]],
    *,
    workers: int,
    collate: Callable[[list[Any]], Any],
) -> Iterator[Any]:
    """Yield the batches in order.

    Args:
        views: The views.
        batches: The items of `views` in each batch.
        workers: The number of loader processes; with 0 this process loads.
        collate: A function from a list of views to a batch, whose tensor fields are sent through
            shared memory.

    Raises:
        IcstreamError: The error that `views` raised.
        ConfigError: The processes cannot be started.
        LoaderError: One of them was killed; all batches yielded before are complete.
    """
    made = _started(views, batches, workers=workers, collate=collate)
    is_said = False
    while True:
        try:
            batch = next(made, None)
        except (RuntimeError, OSError, EOFError) as error:
            # Without processes, or when passed on by PyTorch, this is a bug.
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
                log.warning("/dev/shm has no room for a batch, which slows loading: %s", _REMEDY)
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
    """Return the batches of a loader with running processes.

    Raises:
        ConfigError: The processes cannot be started.
    """
    with warnings.catch_warnings(), _own_child_signals():
        # More workers than cores are the user's choice; PyTorch would warn about them in every
        # epoch.
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
    """Prevent PyTorch from handling SIGCHLD, as it would raise in the middle of a training step.

    It also detects a lost process when the next batch is due.
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
    """A callable that ends a loader process with the trainer.

    The process may wait on a pipe whose other end it also holds, and would otherwise never end.
    """

    trainer: int

    def __call__(self, _worker: int) -> None:
        end_with_parent(self.trainer)


@dataclass(frozen=True, slots=True)
class _Raised:
    """An error that ends the training, sent from a loader process."""

    error: IcstreamError


class _Guarded(Dataset[Any]):
    """The views, or the errors that they raised."""

    def __init__(self, views: Dataset[Any]) -> None:
        self._views = views

    def __getitem__(self, item: Any) -> Any:
        try:
            return self._views[item]
        except IcstreamError as error:
            return _Raised(error)


@dataclass(frozen=True, slots=True)
class _Collate:
    """The function that creates a batch in a loader process and prepares it for sending."""

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
            # PyTorch would try this in a background thread, and lose the batch.
            return _Piped.of(batch)
        return batch


@dataclass(frozen=True, slots=True)
class _Piped:
    """A batch with tensors as arrays, which is sent through a pipe instead of shared memory."""

    batch: Any
    arrays: dict[str, np.ndarray[Any, Any]]

    @classmethod
    def of(cls, batch: Any) -> "_Piped":
        """Return a batch in this form."""
        arrays = {name: tensor.numpy().copy() for name, tensor in _tensors(batch).items()}
        return cls(replace(batch, **dict.fromkeys(arrays)), arrays)

    def unpacked(self) -> Any:
        """Return the original batch."""
        tensors = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        return replace(self.batch, **tensors)


def _tensors(batch: Any) -> dict[str, torch.Tensor]:
    """Return the tensors that are fields of a dataclass, by their names."""
    if not is_dataclass(batch):
        return {}
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
