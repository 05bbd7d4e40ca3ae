"""The training loop, to be read from top to bottom.

Every step is settled by the settings, the data and the number of the step alone, so a run that
was interrupted anywhere goes on to the same weights, bit for bit.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from icstream.model import Checkpoint, ConfigError, ICNet, LabelSet, Preprocessing
from icstream.model.labels import Color
from icstream.stages.data import VOID, LabeledData
from icstream.stages.train.build import (
    Heads,
    make_fit,
    make_loaders,
    make_loss,
    make_metrics_log,
    make_optimizer,
    settings_that_matter,
    survey,
)
from icstream.stages.train.corrupted_samples import Corrupted
from icstream.stages.train.data_loading import Batch, Failures, validation_batches
from icstream.stages.train.inputs import InputNorm
from icstream.stages.train.metrics_log import MetricsLog
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.schedule import Patience, ValidationClock, poly_factor
from icstream.stages.train.settings import PatienceSchedule, PolySchedule, TrainSettings
from icstream.stages.train.state import (
    TrainProgress,
    check_fingerprint,
    environment,
    load_state,
    save_state,
)
from icstream.stages.train.validate import Validation, validate_network
from icstream.stages.train.weights import WeightAverage, build_network, save_weights

log = logging.getLogger(__name__)

HEADS = ("sub124", "sub24", "sub4")
VALIDATIONS = "validations"


class Display(Protocol):
    """Is told how a training goes."""

    def step(self, step: int, num_steps: int, loss: float, lr: float) -> None:
        """Called after each step."""
        ...

    def validation(self, epoch: float, validation: Validation, *, best: bool) -> None:
        """Called after each validation."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of a training."""

    steps: int
    num_steps: int
    validation: Validation | None
    """The last one; None if the run was stopped before."""
    failures: Failures
    """Samples that could not be used, and why."""
    labels: LabelSet

    @property
    def finished(self) -> bool:
        """False if it was stopped before its end."""
        return self.steps == self.num_steps


def train(
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
) -> Trained:
    """Trains to the end, or until it is to stop; the state in `folder` goes on from there.

    Writes last.safetensors and best.safetensors, state.pt and metrics.jsonl.

    Args:
        settings: all but the data.
        data: with the splits "train" and "val".
        folder: of the run; exists.
        ranks: this process's place among those that train together; each calls this.
        start: weights to start from, as `settings.init` says; None: random ones.
        resume: go on from the state in `folder`.
        record: goes into the header of the weights.
        display: is told how it goes.
        should_stop: asked after each step; the state is saved first.

    Raises:
        ConfigError: settings, data or state that cannot be used, or too many corrupted samples.
    """
    trainer = _Trainer(settings, data, folder, ranks, start, record)
    if resume:
        trainer.restore()
    with suppress(_Stop):
        trainer.run(display, should_stop)
    return trainer.result()


class _Stop(Exception):  # noqa: N818 - no error, but the way out of the loop
    """The run is to end here; all is saved."""


class _Trainer:
    """One training run on one rank."""

    def __init__(
        self,
        settings: TrainSettings,
        data: LabeledData,
        folder: Path,
        ranks: Ranks,
        start: Checkpoint | None,
        record: dict[str, Any],
    ) -> None:
        self._settings = settings
        self._data = data
        self._folder = folder
        self._ranks = ranks
        self._record = record
        found = survey(data.split("train"), len(data.labels))
        self._fit = make_fit(settings, found.side)
        model, fresh = build_network(settings, data.labels, start)
        if start is not None and fresh:
            log.info("%d tensors are not in the weights and start at random", len(fresh))
        if ranks.count > 1 and ranks.device.type == "cuda":  # there is no SyncBN on processors
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self._model = model.to(ranks.device).to(memory_format=torch.channels_last).train()
        self._optimiser = make_optimizer(self._model, settings)
        self._scaler = torch.amp.GradScaler(ranks.device.type, enabled=settings.precision == "fp16")
        self._average = None if settings.ema is None else WeightAverage(self._model, settings.ema)
        preprocessing = Preprocessing()
        self._norm = InputNorm(preprocessing, ranks.device, settings.precision)
        red, green, blue = (round(value) for value in preprocessing.mean_rgb)
        mean: Color = (red, green, blue)
        self._batches, self._val_views = make_loaders(settings, data, self._fit, mean, ranks)
        self._num_steps = self._batches.num_steps
        self._loss = make_loss(settings, found, data.labels, ranks.device)
        self._clock = ValidationClock(
            val_every=settings.val_every, steps_per_epoch=self._batches.steps_per_epoch
        )
        self._patience = (
            Patience(settings.schedule) if isinstance(settings.schedule, PatienceSchedule) else None
        )
        self._progress = TrainProgress(lr=settings.lr)
        self._corrupted = Corrupted("training", settings.allow_corrupted_train, ranks)
        self._corrupted.note({text: text for text in data.corrupted})
        self._validation: Validation | None = None

    # Going on

    def restore(self) -> None:
        """Goes on from the state in the folder.

        Raises:
            ConfigError: there is none, or it is of a run with other settings, data or ranks.
        """
        values = load_state(self._folder)
        check_fingerprint(self._folder, values["told"], self._fingerprint())
        self._model.load_state_dict(values["model"])
        for saved, own in zip(
            values["optimiser"]["param_groups"], self._optimiser.param_groups, strict=True
        ):
            saved["fused"] = own["fused"]  # how it is computed is no part of the state
        self._optimiser.load_state_dict(values["optimiser"])
        self._scaler.load_state_dict(values["scaler"])
        if self._average is not None:
            self._average.load(values["average"])
        self._progress = TrainProgress(**values["progress"])
        self._corrupted.failures = self._progress.failures
        self._clock.load(self._progress.clock)
        if self._patience is not None:
            self._patience.load(self._progress.patience)

    def _save_state(self) -> None:
        if not self._ranks.first:
            return
        self._progress.failures = self._corrupted.failures
        self._progress.clock = self._clock.state()
        self._progress.patience = {} if self._patience is None else self._patience.state()
        tensors = {
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": None if self._average is None else self._average.state(),
        }
        save_state(self._folder, self._progress, tensors, self._fingerprint())

    def _fingerprint(self) -> dict[str, Any]:
        names = {split: [s.name for s in self._data.split(split)] for split in ("train", "val")}
        return {
            "settings": settings_that_matter(self._settings),
            "data": {"names": names, "classes": list(self._data.labels.names)},
            "environment": environment(self._ranks),
        }

    # The loop

    def run(self, display: Display, should_stop: Callable[[], bool]) -> None:
        """Trains from where it stands to the end."""
        model: nn.Module = Heads(self._model)
        if self._ranks.count > 1:
            model = DistributedDataParallel(model)
        with make_metrics_log(self._folder, self._progress.step, self._ranks) as metrics_log:
            for batch in self._batches.batches(self._progress.step):
                loss, lr = self._step(model, batch, metrics_log)
                display.step(self._progress.step, self._num_steps, loss, lr)
                last = self._progress.step == self._num_steps
                if self._clock.tick(self._progress.step) or last:
                    self._validate(metrics_log, display)
                elif self._is_checkpoint_due():
                    self._save_state()
                if not last and self._ranks.any(should_stop()):
                    self._save_state()
                    raise _Stop

    def _step(
        self, model: nn.Module, batch: Batch, metrics_log: MetricsLog | None
    ) -> tuple[float, float]:
        """Trains on one batch; gives its loss and the learning rate."""
        begun = time.monotonic()
        self._corrupted.note(batch.failures)
        lr = self._set_lr()
        ids_NHW = batch.ids_NHW.to(self._ranks.device, non_blocking=True)
        with self._norm.autocast():
            logits = model(self._norm(batch.rgb_NHW3))
        total, heads = self._loss(logits, ids_NHW)
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        if self._settings.optimizer.clip_norm is not None:
            self._scaler.unscale_(self._optimiser)
            nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.optimizer.clip_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._average is not None:
            self._average.update(self._model)
        self._progress.step += 1
        values = self._step_values(total, heads, logits.sub124, ids_NHW)
        values |= {"lr": lr, "seconds": time.monotonic() - begun}
        if metrics_log is not None:
            metrics_log.write("train", self._progress.step, self._epoch, values)
        return values["loss"], lr

    def _step_values(
        self, total: Tensor, heads: tuple[Tensor, ...], logits_NKhw: Tensor, ids_NHW: Tensor
    ) -> dict[str, float]:
        """Gives losses and pixel accuracy (at the finest head's own pixels) over all ranks."""
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
                f"the loss became {losses[0]} at step {self._progress.step}; a lower lr, or"
                " precision bf16 instead of fp16, may help"
            )
        values = {"loss": losses[0]}
        values |= {f"loss_{head}": value for head, value in zip(HEADS, losses[1:], strict=True)}
        return {**values, "accuracy": num_right / max(num_known, 1)}

    def _set_lr(self) -> float:
        factor = 1.0
        if isinstance(self._settings.schedule, PolySchedule):
            factor = poly_factor(self._progress.step, self._num_steps, self._settings.schedule)
        for group in self._optimiser.param_groups:
            group["lr"] = self._progress.lr * factor
        return self._progress.lr * factor

    @property
    def _epoch(self) -> float:
        return self._progress.step / self._batches.steps_per_epoch

    def _is_checkpoint_due(self) -> bool:
        every = self._settings.checkpoint_every_steps
        return every > 0 and self._progress.step % every == 0

    # Validation

    def _validate(self, metrics_log: MetricsLog | None, display: Display) -> None:
        network = self._model if self._average is None else self._average.model
        # Without SyncBN each rank has met images of its own.
        self._ranks.agree_on(network.buffers())
        validation = validate_network(
            network,
            validation_batches(
                self._val_views,
                batch=self._settings.batch_val,
                workers=self._settings.workers_val,
                rank=self._ranks.rank,
                ranks=self._ranks.count,
            ),
            norm=self._norm,
            loss=self._loss,
            ranks=self._ranks,
        )
        self._validation = validation
        corrupted = Corrupted("validation", self._settings.allow_corrupted_val, self._ranks)
        corrupted.note(validation.failures)
        score = -validation.loss if self._patience is not None else validation.confusion.miou()
        best = self._progress.best is None or score > self._progress.best
        if best:
            self._progress.best = score
        if metrics_log is not None:
            values = {**validation.values(self._data.labels), "best": best}
            metrics_log.write("val", self._progress.step, self._epoch, values)
        self._save_weights(network, validation, best=best)
        self._progress.num_validations += 1
        if self._patience is not None and self._patience.step(validation.loss):
            assert isinstance(self._settings.schedule, PatienceSchedule)
            self._progress.lr /= self._settings.schedule.divisor
            log.info("learning rate lowered to %g", self._progress.lr)
        self._save_state()
        display.validation(self._epoch, validation, best=best)

    def _save_weights(self, network: ICNet, validation: Validation, *, best: bool) -> None:
        if not self._ranks.first:
            return
        training = {
            **self._record,
            "step": self._progress.step,
            "epoch": round(self._epoch, 4),
            "validation": validation.values(self._data.labels),
        }
        names = ["last"] + ["best"] * best
        if self._settings.keep_every_validation:
            (self._folder / VALIDATIONS).mkdir(exist_ok=True)
            names.append(f"{VALIDATIONS}/{self._progress.num_validations:08d}")
        for name in names:
            save_weights(
                self._folder / f"{name}.safetensors",
                network,
                self._data.labels,
                fit=self._fit,
                training=training,
            )

    def result(self) -> Trained:
        """Gives what has become of it so far."""
        return Trained(
            self._progress.step,
            self._num_steps,
            self._validation,
            self._corrupted.failures,
            self._data.labels,
        )
