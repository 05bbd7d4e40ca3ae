"""Nothing is told to others: the network runs, and nobody outside this machine is connected to.

What is connected to is counted by Linux itself (strace), or by Python's own audit hook.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.commands import RUN_STREETS

pytestmark = pytest.mark.slow

RUN_NETWORK = """
import sys
events = []
watched = ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda name, args: events.append(name) if name in watched else None)
import numpy as np
from icstream.model import Segmenter, load_weights
image_HW3 = np.zeros((64, 96, 3), np.uint8)
Segmenter(load_weights("streets"), runtime="openvino")(image_HW3)
import threading, time
deadline = time.monotonic() + 5
while threading.active_count() > 1 and time.monotonic() < deadline:
    time.sleep(0.05)  # usage data would be sent by a thread
print(*events)
"""


def run(command: Sequence[str], home: Path) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, "HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_that_runs_the_network_connects_to_nobody(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    assert run([sys.executable, "-c", RUN_NETWORK], tmp_path).split() == []
    assert not (tmp_path / "intel").exists()


def test_no_process_of_a_run_connects_to_another_machine(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-qq", "true"], check=False).returncode:
        pytest.skip("strace is not there, or may not be used")
    images, home, trace = tmp_path / "images", tmp_path / "home", tmp_path / "trace"
    images.mkdir()
    home.mkdir()
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(images / "a.png")
    watch = [strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto", "-o", str(trace)]
    program = [*RUN_STREETS, str(images), "--quiet"]
    options = ["--sink", "png", "-o", str(tmp_path / "out")]
    run([*watch, *program, *options], home)
    text = trace.read_text()
    assert "AF_UNIX" in text  # the workers' own connections are seen
    assert not re.findall(r".*AF_INET.*", text)
    assert not (home / "intel").exists()
