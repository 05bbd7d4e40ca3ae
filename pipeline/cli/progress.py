"""Progress displays: redrawn in place on a terminal, periodic log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

log = logging.getLogger(__name__)


class ProgressDisplay:
    """A display on standard error that is redrawn in place, or log lines without a terminal.

    Attributes:
        on_terminal: whether it draws.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        log_every_s: float = 10.0,
        transient: bool = False,
        console: "Console | None" = None,
    ) -> None:
        """Choose between drawing and logging.

        Args:
            quiet: whether to never draw.
            log_every_s: seconds between log lines, and before the first.
            transient: whether the drawing disappears at the end.
            console: the console to draw on; None for standard error if that is a terminal.
        """
        self.on_terminal = console is not None or (sys.stderr.isatty() and not quiet)
        self._log_every_s = log_every_s
        self._next_log = time.monotonic() + log_every_s
        if self.on_terminal:
            from rich.console import Console
            from rich.live import Live

            console = console or Console(stderr=True)
            self._live = Live(console=console, refresh_per_second=4, transient=transient)

    def __enter__(self) -> Self:
        if self.on_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.on_terminal:
            self._live.stop()

    def show(
        self, draw: "Callable[[], RenderableType]", describe: Callable[[], Iterable[str]]
    ) -> None:
        """Show the progress of the command.

        Args:
            draw: a function that returns the drawing; called on a terminal only.
            describe: a function that returns the log lines; called elsewhere, when they are due.
        """
        if self.on_terminal:
            self._live.update(draw())
        elif time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + self._log_every_s
            for line in describe():
                log.info("%s", line)

    def note(self, line: str) -> None:
        """Show a line that stays: above the drawing, or in the log."""
        if self.on_terminal:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            log.info("%s", line)


class ProgressBar(ProgressDisplay):
    """A progress bar with the time left, for a command that handles items one by one."""

    def __init__(
        self,
        title: str,
        *,
        quiet: bool = False,
        log_every_s: float = 10.0,
        transient: bool = True,
        console: "Console | None" = None,
    ) -> None:
        """Start at zero.

        Args:
            title: the name of the activity.
            quiet: whether to never draw.
            log_every_s: seconds between log lines, and before the first.
            transient: whether the bar disappears at the end.
            console: the console to draw on; None for standard error if that is a terminal.
        """
        super().__init__(quiet=quiet, log_every_s=log_every_s, transient=transient, console=console)
        self._title = title
        self._begun: tuple[float, int] | None = None
        if self.on_terminal:
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TimeRemainingColumn(),
            )
            self._task = self._bar.add_task(title, total=None)

    def update(self, done: int, total: int, detail: str = "") -> None:
        """Show how many of all items are done, with a short detail on the last one."""
        self._begun = self._begun or (time.monotonic(), done)
        text = f"{self._title}, {detail}" if detail else self._title

        def draw() -> "RenderableType":
            self._bar.update(self._task, completed=done, total=total, description=text)
            return self._bar

        def describe() -> list[str]:
            return [f"{text}: {done} of {total}{self._time_left(done, total)}"]

        self.show(draw, describe)

    def _time_left(self, done: int, total: int) -> str:
        assert self._begun is not None
        begun_s, done_before = self._begun
        if done <= done_before or done >= total:
            return ""
        left_s = (time.monotonic() - begun_s) / (done - done_before) * (total - done)
        return f", {left_s:.0f} s left" if left_s < 90 else f", {left_s / 60:.0f} min left"
