"""The metrics of a training run, as JSON lines and in TensorBoard if it is installed."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from icstream.model.files import naming_file, write_atomically
from icstream.stages.train.ranks import Ranks

METRICS_FILE = "metrics.jsonl"
BOARD = "tensorboard"
"""The folder of TensorBoard's files."""


class MetricsLog:
    """The log of metrics in `metrics.jsonl`, with lines of `type` train or val.

    A run that is resumed from step n drops the lines after it, so that none is duplicated.
    """

    def __init__(self, folder: Path, *, from_step: int) -> None:
        """Open the files of a run in `folder`."""
        self._path = path = folder / METRICS_FILE
        kept = []
        if from_step and path.exists():
            # A power failure may leave arbitrary lines.
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    if json.loads(line)["step"] <= from_step:
                        kept.append(line + "\n")
        write_atomically(path, "".join(kept).encode(), durable=False)
        self._board = _open_board(folder / BOARD, from_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._board is not None:
            self._board.close()

    def write(self, kind: str, step: int, epoch: float, values: Mapping[str, Any]) -> None:
        """Add a line, and write its numbers to TensorBoard.

        Raises:
            OSError: The file cannot be written.
        """
        line = {"type": kind, "step": step, "epoch": round(epoch, 4), **values}
        # Closed after each line, so that a full disk raises one error and none later.
        with naming_file(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)


def open_metrics_log(
    folder: Path, *, from_step: int, ranks: Ranks
) -> AbstractContextManager[MetricsLog | None]:
    """Return the log of a run on the rank that writes it, and None on the others."""
    return MetricsLog(folder, from_step=from_step) if ranks.first else nullcontext()


def _open_board(folder: Path, from_step: int) -> Any:
    """Return a writer, or None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=from_step or None)
