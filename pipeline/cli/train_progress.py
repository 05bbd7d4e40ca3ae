"""The progress display of a training: a bar with the loss, and a line for each validation."""

from icstream.pipeline.cli.progress import ProgressBar
from icstream.stages.train.validate import Validation

_LOG_EVERY_S = 30.0


class TrainProgress(ProgressBar):
    """The progress of a training; see `icstream.stages.train.Display`."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__("training", quiet=quiet, log_every_s=_LOG_EVERY_S, transient=False)

    def step(self, step: int, num_steps: int, loss: float, lr: float) -> None:
        """Show the step that was just finished."""
        self.update(step, num_steps, f"loss {loss:.3f}, lr {lr:.3g}")

    def validation(self, epoch: float, validation: Validation, *, best: bool) -> None:
        """Show a line with the results of a validation."""
        self.note(describe_validation(epoch, validation, best=best))


def describe_validation(epoch: float, validation: Validation, *, best: bool) -> str:
    """Return one line with the results of a validation."""
    confusion = validation.confusion
    return (
        f"epoch {epoch:.2f}: validation loss {validation.loss:.4f}, mIoU"
        f" {100 * confusion.miou():.2f} %, pixel accuracy {100 * confusion.pixel_accuracy():.2f} %"
        + (", best so far" if best else "")
    )
