"""How a training looks to the user: a progress bar in a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from icstream.stages.train.validate import Validation

_LINE_EVERY_S = 30.0


def validation_line(epoch: float, validation: Validation, *, best: bool) -> str:
    """Gives one line on a validation."""
    confusion = validation.confusion
    return (
        f"epoch {epoch:.2f}: validation loss {validation.loss:.4f}, mIoU"
        f" {100 * confusion.miou():.2f} %, pixel accuracy {100 * confusion.pixel_accuracy():.2f} %"
        + (", best so far" if best else "")
    )


class TrainLines:
    """Writes lines to standard error, with the time left."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._begun: tuple[float, int] | None = None
        self._last = 0.0

    def step(self, step: int, num_steps: int, loss: float, lr: float) -> None:
        """See `Display.step`."""
        now = time.monotonic()
        self._begun = self._begun or (now, step)
        if now - self._last < _LINE_EVERY_S and step != num_steps:
            return
        self._last = now
        per_step = (now - self._begun[0]) / max(step - self._begun[1], 1)
        left = f", {(num_steps - step) * per_step / 60:.0f} min left" if per_step else ""
        self._say(f"step {step} of {num_steps}: loss {loss:.3f}, lr {lr:.3g}{left}")

    def validation(self, epoch: float, validation: Validation, *, best: bool) -> None:
        """See `Display.validation`."""
        self._say(validation_line(epoch, validation, best=best))

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)


class TrainBar:
    """Draws a progress bar; validations are lines above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self.progress.add_task("training", total=None)

    def step(self, step: int, num_steps: int, loss: float, lr: float) -> None:
        """See `Display.step`."""
        text = f"loss {loss:.3f}, lr {lr:.2g}"
        self.progress.update(self._task, completed=step, total=num_steps, description=text)

    def validation(self, epoch: float, validation: Validation, *, best: bool) -> None:
        """See `Display.validation`."""
        self.progress.print(validation_line(epoch, validation, best=best))


@contextmanager
def open_display(*, quiet: bool) -> Iterator[TrainLines | TrainBar]:
    """Gives a bar if standard error is a terminal, else lines; `quiet`: nothing."""
    if quiet or not sys.stderr.isatty():
        yield TrainLines(quiet=quiet)
        return
    bar = TrainBar()
    with bar.progress:
        yield bar
