"""Signals to end, as programs that run a command send them."""

import signal
import subprocess
import sys

_PROGRAM = """
import os, signal, threading, time
from icstream.pipeline.cli.console import StopSignals

with StopSignals() as stop:
    signals = [signal.SIGTERM] * NUMBER
    def send():
        for each in signals:
            os.kill(os.getpid(), each)
            time.sleep(PAUSE_S)
    threading.Thread(target=send, daemon=True).start()
    deadline = time.monotonic() + 20
    while not stop.received() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(AFTER_S)
raise SystemExit(stop.exit_code())
"""


def _send(*, number: int, pause_s: float, after_s: float) -> int:
    program = _PROGRAM.replace("NUMBER", str(number)).replace("PAUSE_S", str(pause_s))
    program = program.replace("AFTER_S", str(after_s))
    return subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode


def test_signals_that_come_at_once_are_one() -> None:
    # `timeout` of GNU coreutils sends its signal to the process, and then to the whole group.
    assert _send(number=2, pause_s=0.02, after_s=0.1) == 128 + signal.SIGTERM


def test_a_later_one_of_the_same_kind_ends_the_process() -> None:
    assert _send(number=2, pause_s=2, after_s=20) == -signal.SIGTERM
