"""Workers that are killed, stopped or fall silent cost time, and nothing else."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import pytest

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.wire.messages import Done, Message, Work
from icstream.pipeline.wire.sockets import HubSocket
from support.clips import make_clip
from support.commands import RUN_STREETS
from support.live_runs import children, is_running
from support.runs import run_pipeline

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
KINDS = ("decode", "preprocess", "segment", "encode")
SHIPPED = Path(str(files("icstream.model") / "weights"))
RESIZED: dict[str, Any] = {"fit__mode": "stretch", "fit__width": 192, "fit__height": 128}
"""Of frames that are only padded, preprocess workers get none."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_clip(path, pts=tuple(range(120)), size=(96, 160))


@pytest.fixture(scope="module")
def masks(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("runs") / "out"
    assert run_pipeline(clip, out).exit_code == 0
    return (out / "clip" / "masks.mp4").read_bytes()


@pytest.fixture(scope="module")
def resized_masks(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("resized") / "out"
    assert run_pipeline(clip, out, **RESIZED).exit_code == 0
    return (out / "clip" / "masks.mp4").read_bytes()


class Strikes:
    """Sends a signal to one worker after another, the next when frames have passed the one before.

    Attributes:
        recovered_s: The seconds from the signal until another worker of that kind began a frame.
    """

    def __init__(self, kinds: Sequence[str], number: int, *, every: int) -> None:
        """Strike workers of some kinds, in this order, and let `every` frames pass before each."""
        self.recovered_s: dict[str, float] = {}
        self._waiting = list(kinds)
        self._number = number
        self._every = every
        self._count = 0
        self._struck: tuple[str, float] | None = None

    def __call__(self, _stream: StreamState, lease: Lease) -> None:
        if self._struck is not None:
            kind, struck_s = self._struck
            begun_s = lease.served[kind].start
            if begun_s > struck_s:
                self.recovered_s[kind] = begun_s - struck_s
                self._struck, self._count = None, 0
            return
        self._count += 1
        if self._waiting and self._count == self._every:
            kind = self._waiting.pop(0)
            os.kill(children(os.getpid())[kind], self._number)
            self._struck = (kind, time.monotonic())


@pytest.mark.parametrize("resized", [False, True])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_workers_that_are_lost_are_replaced_and_nothing_is_missing(
    clip: Path, masks: bytes, resized_masks: bytes, tmp_path: Path, resized: bool, number: int
) -> None:
    kinds = KINDS if resized else ("decode", "segment", "encode")
    strikes = Strikes(kinds, number, every=15)
    settings = RESIZED if resized else {}
    # Small slots in flight, so that the decoder still has work to do when it is struck.
    result = run_pipeline(clip, tmp_path / "out", on_frame=strikes, pipeline__window=4, **settings)
    assert (result.exit_code, result.num_restarts) == (0, len(kinds))
    wanted = resized_masks if resized else masks
    assert (tmp_path / "out" / "clip" / "masks.mp4").read_bytes() == wanted
    assert result.streams[0].faults() == []
    assert tuple(strikes.recovered_s) == kinds
    assert max(strikes.recovered_s.values()) < 5


def test_twenty_kills_at_random_moments_change_no_byte(clip: Path) -> None:
    options = ["--kills", "20", "--sink", "masks", "--sink", "overlay", "--sink", "png"]
    script = str(ROOT / "benchmarks" / "chaos.py")
    done = subprocess.run(
        [sys.executable, script, str(clip), *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r" 0 faults$", done.stdout.strip())


def test_workers_killed_while_they_start_and_while_they_end(
    clip: Path, masks: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [*RUN_STREETS, "--quiet", str(clip), "-o", str(out), "--sink", "masks"]
    ) as process:
        struck: set[str] = set()
        deadline = time.monotonic() + 60
        while len(struck) < len(KINDS) and time.monotonic() < deadline:
            for kind, pid in children(process.pid).items():
                if kind not in struck:
                    os.kill(pid, signal.SIGKILL)
                    struck.add(kind)
        # The last fragment comes when the files are closed: everybody is on the way out then.
        while process.poll() is None and time.monotonic() < deadline:
            if (out / "clip" / "masks.mp4").exists():
                size = (out / "clip" / "masks.mp4").stat().st_size
                if size > len(masks) - 2000:
                    for pid in children(process.pid).values():
                        os.kill(pid, signal.SIGKILL)
                    break
        assert process.wait(60) == 0
    assert (out / "clip" / "masks.mp4").read_bytes() == masks


@pytest.fixture
def own_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set a folder for temporary files that other runs on this machine do not clean up.

    Its path is short, as those of sockets must be.
    """
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_killing_the_supervisor_leaves_no_process_and_a_playable_file(
    clip: Path, own_tmp: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [*RUN_STREETS, "--quiet", str(clip), "-o", str(out), "--loop", "100"]
    with subprocess.Popen(command) as process:
        masks = out / "clip" / "masks.mp4"
        deadline = time.monotonic() + 60
        while not (masks.exists() and masks.stat().st_size > 10_000):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        workers = children(process.pid).values()
        assert len(workers) == 4
        process.kill()
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with av.open(masks) as file:  # raises at a frame that is cut off
        assert sum(1 for _ in file.decode(video=0)) > 0
    mine = f"icstream-{process.pid}-*"
    assert list(own_tmp.glob(mine))
    run_pipeline(clip, tmp_path / "next")
    assert not list(own_tmp.glob(mine))


def test_a_worker_that_is_lost_too_often_ends_the_run(clip: Path, tmp_path: Path) -> None:
    strike = Strikes(["segment"], signal.SIGKILL, every=20)
    out = tmp_path / "out"
    result = run_pipeline(clip, out, on_frame=strike, supervision__max_restarts=0)
    assert result.exit_code == 1
    assert "segment 0: killed by SIGKILL" in (result.error or "")
    (stream,) = result.streams
    assert stream.faults() == []
    assert stream.accounting.dropped["stopped"] > 0
    with av.open(out / "clip" / "masks.mp4") as file:
        assert sum(1 for _ in file.decode(video=0)) == stream.accounting.encoded


def run_while(change: Callable[[Path], None], clip: Path, tmp_path: Path) -> tuple[RunResult, Path]:
    """Run with weights in a file, which changes before the segment worker is killed."""
    weights = tmp_path / "best.safetensors"
    shutil.copy(SHIPPED / "streets.safetensors", weights)
    strike = Strikes(["segment"], signal.SIGKILL, every=20)

    def change_and_strike(stream: StreamState, lease: Lease) -> None:
        if stream.accounting.encoded == 10:
            change(weights)
        strike(stream, lease)

    out = tmp_path / "out"
    result = run_pipeline(clip, out, on_frame=change_and_strike, model__weights=str(weights))
    return result, weights


def test_a_file_that_takes_the_place_of_the_weights_changes_no_mask(
    clip: Path, masks: bytes, tmp_path: Path
) -> None:
    def replace(weights: Path) -> None:  # as a training does
        shutil.copy(SHIPPED / "camvid.safetensors", tmp_path / "new.safetensors")
        (tmp_path / "new.safetensors").replace(weights)

    result, _ = run_while(replace, clip, tmp_path)
    assert (result.exit_code, result.num_restarts) == (0, 1)
    assert (tmp_path / "out" / "clip" / "masks.mp4").read_bytes() == masks


@pytest.mark.parametrize(
    "overwrite",
    [
        lambda weights: shutil.copy(SHIPPED / "camvid.safetensors", weights),
        lambda weights: weights.write_bytes(b"not weights"),
    ],
)
def test_weights_that_were_overwritten_make_no_masks(
    clip: Path, tmp_path: Path, overwrite: Callable[[Path], None]
) -> None:
    result, weights = run_while(overwrite, clip, tmp_path)
    assert result.exit_code == 1
    assert f"weights {weights}: overwritten since the run began" in (result.error or "")
    (stream,) = result.streams
    assert stream.faults() == []
    assert stream.accounting.dropped["stopped"] > 0


def drops_one(kind: type[Message], *, at: int) -> Callable[..., bool]:
    """Return a `HubSocket.send` that loses message number `at` of a kind, once."""
    send = HubSocket.send
    count = 0

    def lossy(self: HubSocket, name: bytes, number: int, body: Message, payload: Any = ()) -> bool:
        nonlocal count
        count += isinstance(body, kind)
        if isinstance(body, kind) and count == at:
            return True
        return send(self, name, number, body, payload)

    return lossy


@pytest.mark.parametrize("at", [20, 21, 22, 360])
def test_a_lost_message_to_a_worker_is_seen_and_made_good(
    clip: Path, resized_masks: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    # 360 is the last of three for each of 120 frames: nothing comes behind it to show the gap.
    monkeypatch.setattr(HubSocket, "send", drops_one(Work, at=at))
    result = run_pipeline(clip, tmp_path / "out", **RESIZED)
    assert (result.exit_code, result.num_restarts) == (0, 1)
    assert (tmp_path / "out" / "clip" / "masks.mp4").read_bytes() == resized_masks


@pytest.mark.parametrize("at", [20, 240])
def test_a_lost_message_from_a_worker_is_seen_and_made_good(
    clip: Path, resized_masks: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    receive = HubSocket.receive
    count = 0

    def lossy(self: HubSocket) -> Any:
        nonlocal count
        got = receive(self)
        if got is not None and isinstance(self.read(got[1])[1], Done):
            count += 1
            if count == at:
                return receive(self)
        return got

    monkeypatch.setattr(HubSocket, "receive", lossy)
    result = run_pipeline(clip, tmp_path / "out", **RESIZED)
    assert (result.exit_code, result.num_restarts) == (0, 1)
    assert (tmp_path / "out" / "clip" / "masks.mp4").read_bytes() == resized_masks
