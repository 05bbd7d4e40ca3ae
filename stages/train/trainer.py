"""The training loop, to be read from top to bottom.

Every step depends only on the settings, the data and its number, so a run that was interrupted
anywhere can be resumed to identical weights.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from icstream.model import Checkpoint, ConfigError, ICNet, LabelSet
from icstream.model.icnet import BranchLogits
from icstream.stages.data import VOID, LabeledData
from icstream.stages.train.build import TrainSetup, build_training
from icstream.stages.train.checkpointing import RunFolder, TrainState
from icstream.stages.train.corrupted_samples import Corrupted
from icstream.stages.train.data_loading import Batch, Failures, validation_batches
from icstream.stages.train.loader import LoaderError
from icstream.stages.train.metrics_log import MetricsLog, open_metrics_log
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.schedule import poly_factor
from icstream.stages.train.settings import PatienceSchedule, PolySchedule, TrainSettings
from icstream.stages.train.validate import Validation, is_better, validate_network
from icstream.stages.train.weights import all_finite

log = logging.getLogger(__name__)

HEADS = ("sub124", "sub24", "sub4")
"""The heads of `BranchLogits`, in order."""
_REMEDY = "a lower lr, or precision bf16 instead of fp16, may help"


class Display(Protocol):
    """The progress display of a training."""

    def step(self, step: int, num_steps: int, loss: float, lr: float) -> None:
        """Show a step; called after each one."""
        ...

    def validation(self, epoch: float, validation: Validation, *, best: bool) -> None:
        """Show a validation; called after each one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The outcome of a training."""

    steps: int
    """The number of completed steps."""
    num_steps: int
    """The number of steps of the whole training."""
    validation: Validation | None
    """The last validation; None if the run was stopped before the first."""
    failures: Failures
    """The samples that could not be used, and why."""
    labels: LabelSet
    """The classes of the trained network."""
    left_out: tuple[str, ...] = ()
    """A line for each kind of objects that are left out, as in `LabeledData`."""

    @property
    def finished(self) -> bool:
        """Whether the training was completed rather than stopped."""
        return self.steps == self.num_steps


def train_network(
    settings: TrainSettings,
    data: LabeledData,
    folder: Path,
    *,
    ranks: Ranks,
    start: Checkpoint | None,
    resume: bool,
    record: dict[str, Any],
    display: Display,
    should_stop: Callable[[], bool],
    on_begin: Callable[[], None] = lambda: None,
) -> Trained:
    """Train to the end or until stopped, with the state for resuming in `folder`.

    This writes last.safetensors and best.safetensors, state.pt and metrics.jsonl.

    Args:
        settings: The settings of the training.
        data: The data set, with the splits "train" and "val".
        folder: The folder of the run, which exists or is created by `on_begin`.
        ranks: This process's rank; each rank calls this function.
        start: The initial weights, used as `settings.init` states; None: random ones.
        resume: Whether to continue from the state in `folder`.
        record: Entries for the header of the weights.
        display: The progress display.
        should_stop: A function that is called after each step, and returns whether to save the
            state and stop.
        on_begin: A function that is called after all checks, before anything is written.

    Raises:
        ConfigError: Settings, data or state cannot be used, there are too many corrupted samples,
            or losses or weights are not finite.
        LoaderError: A process that loads images was lost.
        OSError: A file cannot be written.
    """
    setup, state = build_training(settings, data, ranks=ranks, start=start)
    run_folder = RunFolder(
        path=folder,
        ranks=ranks,
        fingerprint=setup.fingerprint,
        labels=setup.labels,
        fit=setup.fit,
        record=record,
    )
    trainer = _Trainer(setup, state, run_folder, display)
    trainer.note_corrupted({text: text for text in data.corrupted})
    if resume:
        trainer.restore()
    on_begin()
    with suppress(_Stop):
        trainer.run(should_stop)
    return replace(trainer.outcome(), left_out=data.left_out)


class _Stop(Exception):  # noqa: N818 - not an error, but the exit from the loop
    """The run shall end here, with everything saved."""


class _Heads(nn.Module):
    """The network for training, with all three heads."""

    def __init__(self, model: ICNet, dropout: float) -> None:
        super().__init__()
        self.model = model
        self.dropout = dropout

    def forward(self, x_NCHW: Tensor) -> BranchLogits:
        """Return the result of `ICNet.branch_logits`."""
        return self.model.branch_logits(x_NCHW, dropout=self.dropout)


def dropout_seed(seed: int, *, step: int, rank: int) -> int:
    """Return the seed of PyTorch's generator for the dropout of one step on one rank."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)


class _Trainer:
    """The loop of one training run on one rank."""

    def __init__(
        self, setup: TrainSetup, state: TrainState, folder: RunFolder, display: Display
    ) -> None:
        self._setup = setup
        self._settings = setup.settings
        self._ranks = setup.ranks
        self._state = state
        self._folder = folder
        self._display = display
        self._num_steps = setup.batches.num_steps
        self._corrupted = Corrupted(
            "training", allowed=setup.settings.allow_corrupted_train, ranks=setup.ranks
        )
        self._corrupted.failures = state.position.failures
        self._validation: Validation | None = None
        self._val_failures: Failures = {}

    def note_corrupted(self, failures: Failures) -> None:
        """Count samples that were found to be corrupted before the first step.

        Raises:
            ConfigError: There are too many.
        """
        self._corrupted.note(failures)

    def restore(self) -> None:
        """Continue from the state in the folder.

        Raises:
            ConfigError: There is none, or it belongs to a run with other settings, data or ranks.
        """
        self._folder.restore(self._state)
        self._corrupted.failures = self._state.position.failures

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Train from the current position to the end.

        Raises:
            _Stop: The run was stopped before.
        """
        model: nn.Module = _Heads(self._state.model, self._settings.dropout)
        if self._ranks.count > 1:
            model = DistributedDataParallel(model)
        first_step = self._state.position.step
        with open_metrics_log(
            self._folder.path, from_step=first_step, ranks=self._ranks
        ) as metrics_log:
            batches = self._setup.batches.batches(first_step)
            while (batch := self._next(batches)) is not None:
                loss, lr = self._step(model, batch, metrics_log)
                step = self._state.position.step
                self._display.step(step, self._num_steps, loss, lr)
                last = step == self._num_steps
                if self._state.clock.tick(step) or last:
                    self._validate(metrics_log)
                elif self._is_checkpoint_due():
                    self._folder.save_state(self._state)
                if not last and self._ranks.any(should_stop()):
                    self._folder.save_state(self._state)
                    raise _Stop

    def outcome(self) -> Trained:
        """Return the outcome so far."""
        return Trained(
            steps=self._state.position.step,
            num_steps=self._num_steps,
            validation=self._validation,
            failures={**self._corrupted.failures, **self._val_failures},
            labels=self._setup.labels,
        )

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Return the next batch, or None after the last.

        Raises:
            LoaderError: A process that loads images was lost; the state is saved.
        """
        try:
            return next(batches, None)
        except LoaderError as error:
            self._folder.save_state(self._state)
            raise LoaderError(f"{error}; the state is saved, continue with --resume") from error

    def _step(
        self, model: nn.Module, batch: Batch, metrics_log: MetricsLog | None
    ) -> tuple[float, float]:
        """Train on one batch, and return its loss and the learning rate."""
        begun = time.monotonic()
        self._corrupted.note(batch.failures)
        lr = self._set_lr()
        if self._settings.dropout > 0:
            seed, step = self._settings.seed, self._state.position.step
            torch.manual_seed(dropout_seed(seed, step=step, rank=self._ranks.rank))
        ids_NHW = batch.ids_NHW.to(self._ranks.device, non_blocking=True)
        with self._setup.norm.autocast():
            logits = model(self._setup.norm(batch.rgb_NHW3))
        total, heads = self._setup.loss(logits, ids_NHW)
        self._update_weights(total)
        self._state.position.step += 1
        values = self._step_values(total, heads, logits.sub124, ids_NHW)
        values |= {"lr": lr, "seconds": time.monotonic() - begun}
        if metrics_log is not None:
            metrics_log.write("train", self._state.position.step, self._epoch, values)
        return values["loss"], lr

    def _update_weights(self, loss: Tensor) -> None:
        state, clip_norm = self._state, self._settings.optimizer.clip_norm
        state.optimizer.zero_grad(set_to_none=True)
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if clip_norm is not None:
            state.scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(state.model.parameters(), clip_norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if state.average is not None:
            state.average.update(state.model)

    def _step_values(
        self, total: Tensor, heads: tuple[Tensor, ...], logits_NKhw: Tensor, ids_NHW: Tensor
    ) -> dict[str, float]:
        """Return losses and pixel accuracy (at the finest head's own pixels) over all ranks."""
        shrunk_Nhw = ids_NHW[:, ::4, ::4]
        rows, columns = shrunk_Nhw.shape[1:]
        right = logits_NKhw.detach()[:, :, :rows, :columns].argmax(1) == shrunk_Nhw
        known = shrunk_Nhw != VOID
        sums = torch.stack(
            [*(value.detach() for value in (total, *heads)), (right & known).sum(), known.sum()]
        ).double()
        *losses, num_right, num_known = self._ranks.sum(sums).tolist()
        losses = [value / self._ranks.count for value in losses]
        if not np.isfinite(losses[0]):
            raise ConfigError(
                f"the loss became {losses[0]} at step {self._state.position.step}; {_REMEDY}"
            )
        values = {"loss": losses[0]}
        values |= {f"loss_{head}": value for head, value in zip(HEADS, losses[1:], strict=True)}
        return {**values, "accuracy": num_right / max(num_known, 1)}

    def _set_lr(self) -> float:
        factor = 1.0
        if isinstance(self._settings.schedule, PolySchedule):
            step = self._state.position.step
            factor = poly_factor(step, self._num_steps, self._settings.schedule)
        lr = self._state.position.lr * factor
        for group in self._state.optimizer.param_groups:
            group["lr"] = lr
        return lr

    @property
    def _epoch(self) -> float:
        return self._state.position.step / self._setup.batches.steps_per_epoch

    def _is_checkpoint_due(self) -> bool:
        every = self._settings.checkpoint_every_steps
        return every > 0 and self._state.position.step % every == 0

    def _validate(self, metrics_log: MetricsLog | None) -> None:
        """Validate, save weights and state, and lower the learning rate if due."""
        position, labels = self._state.position, self._setup.labels
        validation = self._validation = self._score()
        self._check_finite(validation)
        score = validation.confusion.miou()
        if self._state.patience is not None:
            score = -validation.loss
        best = validation.is_finite and is_better(score, position.best)
        if best:
            position.best = score
        values = validation.values(labels)
        if metrics_log is not None:
            metrics_log.write("val", position.step, self._epoch, {**values, "best": best})
        self._folder.save_weights(
            self._state.result,
            best=best,
            number=position.num_validations if self._settings.keep_every_validation else None,
            training={
                "step": position.step,
                "epoch": round(self._epoch, 4),
                "validation": values,
            },
        )
        position.num_validations += 1
        self._adapt_lr(validation.loss)
        self._folder.save_state(self._state)
        self._display.validation(self._epoch, validation, best=best)

    def _score(self) -> Validation:
        """Return the scores of the network on the validation samples.

        Raises:
            ConfigError: Too many of them are corrupted, or all.
        """
        network = self._state.result
        # Without SyncBN each rank has its own statistics.
        self._ranks.agree_on(network.buffers())
        validation = validate_network(
            network,
            validation_batches(
                self._setup.val_views,
                batch=self._settings.batch_val,
                workers=self._settings.workers_val,
                rank=self._ranks.rank,
                ranks=self._ranks.count,
            ),
            norm=self._setup.norm,
            loss=self._setup.loss,
            ranks=self._ranks,
        )
        allowed = self._settings.allow_corrupted_val
        Corrupted("validation", allowed=allowed, ranks=self._ranks).note(validation.failures)
        self._val_failures |= validation.failures
        if not validation.num_samples:
            first = next(iter(validation.failures.values()))
            raise ConfigError(f"no validation sample can be used, the first: {first}")
        return validation

    def _check_finite(self, validation: Validation) -> None:
        """Check that weights are worth saving.

        A loss may overflow in a lower precision and be finite the next time, but must be finite at
        the end.

        Raises:
            ConfigError: The weights or the last loss are not finite.
        """
        step = self._state.position.step
        if not all_finite(self._state.result):
            what = f"weights are not finite at step {step}"
        elif validation.is_finite:
            return
        elif step == self._num_steps:
            what = f"the validation loss became {validation.loss} at step {step}"
        else:
            log.warning(
                "the validation loss is %g at step %d: not counted as best", validation.loss, step
            )
            return
        raise ConfigError(f"{what}; {_REMEDY}")

    def _adapt_lr(self, val_loss: float) -> None:
        schedule, patience = self._settings.schedule, self._state.patience
        if patience is not None and patience.step(val_loss):
            assert isinstance(schedule, PatienceSchedule)
            self._state.position.lr /= schedule.divisor
            log.info("learning rate lowered to %g", self._state.position.lr)
