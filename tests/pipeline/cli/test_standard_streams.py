"""Standard error that nobody reads, or that is closed, disturbs nothing."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from icstream.pipeline.cli.standard_streams import UnblockedStream
from support.clips import make_clip
from support.commands import COMMAND, call, error_line


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """Return the ends of a pipe, to read and to write, into which nothing more fits."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    yield reader, writer
    for descriptor in (reader, writer):
        with suppress(OSError):
            os.close(descriptor)


def test_writing_never_waits_and_lost_lines_are_counted(full_pipe: tuple[int, int]) -> None:
    reader, writer = full_pipe
    stream = UnblockedStream(os.fdopen(writer, "w"), max_waiting=10)
    for number in range(100):
        print(f"line {number}", file=stream)
    stream.drain(0.05)
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.extend(iter(lambda: os.read(reader, 4096), b"")))
    thread.start()
    stream.drain(30)
    print("after", file=stream)
    stream.drain(30)
    os.close(stream.fileno())
    thread.join(30)
    lines = b"".join(read).decode().lstrip("x").splitlines()
    kept = [line for line in lines if line.startswith("line ")]
    assert kept == [f"line {number}" for number in range(len(kept))]
    assert 5 <= len(kept) <= 6  # a line is two pieces; one piece may be under way
    assert lines[len(kept)].endswith(
        f"{100 - len(kept)} lines discarded here, as nothing read them"
    )
    assert lines[-1] == "after"


def test_a_reader_that_goes_away_changes_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    stream = UnblockedStream(file)
    for number in range(10):
        print(number, file=stream)
        stream.drain(30)
    with suppress(BrokenPipeError):
        file.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_clip(path, pts=tuple(range(10)), size=(48, 64))


def command(clip: Path, out: Path, *options: str) -> list[str]:
    return [*COMMAND, "run", str(clip), "-o", str(out), "--weights", "streets", *options]


@pytest.mark.slow
def test_a_run_ends_as_ever_though_nobody_reads_its_log(
    clip: Path, tmp_path: Path, full_pipe: tuple[int, int]
) -> None:
    out = tmp_path / "out"
    done = subprocess.run(command(clip, out), stderr=full_pipe[1], timeout=120, check=False)
    assert done.returncode == 0
    assert json.loads((out / "report.json").read_text())["exit_code"] == 0


@pytest.mark.slow
def test_a_run_without_a_terminal_ends_as_ever(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = " ".join(command(clip, out, "--sink", "areas", "--json", "-"))
    done = subprocess.run(f"{line} <&- >&- 2>&-", shell=True, timeout=120, check=False)
    assert done.returncode == 0
    assert (out / "report.json").exists()
    assert len((out / "clip" / "areas.csv").read_text().splitlines()) == 1 + 10


@pytest.mark.slow
def test_a_terminal_that_hangs_up_ends_a_run_in_order(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--loop", "100000", "--sink", "areas")
    with subprocess.Popen(
        command(clip, out, *options),
        stderr=subprocess.PIPE,
        # Under nohup the signal is ignored, and rightly so.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        try:
            assert any(b"clip: started" in line for line in process.stderr)
            process.stderr.close()  # as of a terminal that is gone
            for _ in range(2):  # the system and the shell
                process.send_signal(signal.SIGHUP)
            assert process.wait(60) == 128 + signal.SIGHUP
        finally:
            process.kill()
    assert json.loads((out / "report.json").read_text())["streams"]["clip"]["closed"]


def test_results_that_could_not_be_written_are_refused_before_the_run(
    clip: Path, tmp_path: Path
) -> None:
    for file, words in (
        (tmp_path / "missing" / "x.json", "does not exist"),
        (tmp_path, "is a folder"),
    ):
        done = call("run", clip, "-o", tmp_path / "out", "--json", file)
        assert done.returncode == 2
        assert words in error_line(done)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["icstream.pipeline.cli.main", "icstream.pipeline.plan.streams"])
def test_an_interrupt_while_it_starts_is_no_error(module: str, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv[1:] = ['run', 'missing.mp4', '-o', 'out']\n"
        "from icstream.pipeline.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"")
