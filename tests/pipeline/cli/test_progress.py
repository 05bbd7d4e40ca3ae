"""Progress: drawn in place on a terminal, log lines elsewhere."""

import io
import logging
from itertools import count

import pytest
from rich.console import Console

from icstream.pipeline.cli.progress import ProgressBar


def test_a_terminal_shows_a_bar_and_the_lines_above_it() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with ProgressBar("training", transient=False, console=console) as bar:
        bar.note("epoch 1.00: [best] so far")
        bar.update(3, 4, "loss 0.5")
    shown = screen.getvalue()
    assert "training, loss 0.5" in shown
    assert "3/4" in shown
    assert shown.index("epoch 1.00: [best] so far") < shown.index("3/4")


def test_elsewhere_a_line_is_logged_now_and_then_with_the_time_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count(step=4)  # each look at the clock takes so long
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    caplog.set_level(logging.INFO)
    with ProgressBar("checking", log_every_s=30) as bar:
        for number in range(1, 21):
            bar.update(number, 20, f"item {number}")
        bar.note("done")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[-1] == "done"
    assert 1 < len(lines) < 10
    assert all(line.startswith("checking, item ") and " of 20, " in line for line in lines[:-1])
    assert all(line.endswith(" left") for line in lines[:-1])


def test_a_quiet_command_draws_nothing_and_logs_below_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with ProgressBar("checking", quiet=True, log_every_s=0) as bar:
        bar.update(1, 2)
    assert not bar.on_terminal
    assert caplog.records == []
