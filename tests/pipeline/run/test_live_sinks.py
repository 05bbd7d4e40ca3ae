"""Rolling recordings, events and published masks in real runs, workers killed and runs resumed."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.auth
from numpy.typing import NDArray
from PIL import Image

from support.clips import make_clip
from support.commands import call, error_line
from support.live_runs import LiveRun, children
from support.runs import read_ids, run_pipeline

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
RULES = "[{name: road, class: Road, above: 0.2, for_s: 0.2, clear: 0.19}]"
RECORD = [
    *("--sink", "rolling", "--set", "output.rolling.seconds=0.8", "--sink", "events"),
    *("--set", "output.rolling.keep_files=3", "--set", f"output.events.rules={RULES}"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_clip(path, pts=tuple(range(150)), size=(96, 160))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "overlay" not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole_run(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run that is left alone."""
    out = tmp_path_factory.mktemp("whole") / "out"
    with LiveRun([clip], out, *RECORD) as run:
        assert run.wait() == 0, run.log
    return out


@pytest.fixture(scope="module")
def whole(whole_run: Path) -> dict[str, bytes]:
    """What that run wrote."""
    found = contents(whole_run / "clip")
    assert {"events.jsonl", "rolling/masks.000000140.mp4"} <= set(found)
    assert len(found) == 6
    return found


def test_a_run_that_was_killed_is_resumed_to_the_same_recordings_and_events(
    clip: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    with LiveRun([clip], tmp_path / "out", *RECORD) as run:
        run.wait_for((tmp_path / "out" / "clip" / "rolling" / "masks.000000040.mp4").exists)
        run.process.kill()
        run.process.wait()
    with LiveRun([clip], tmp_path / "out", *RECORD, "--resume") as run:
        assert run.wait() == 0, run.log
    assert contents(tmp_path / "out" / "clip") == whole


def test_an_encode_worker_that_is_killed_changes_nothing(
    clip: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    with LiveRun([clip], tmp_path / "out", *RECORD) as run:
        run.wait_for((tmp_path / "out" / "clip" / "rolling" / "masks.000000060.mp4").exists)
        os.kill(children(run.process.pid)["encode"], 9)
        assert run.wait() == 0, run.log
    assert "restarting" in run.log
    assert contents(tmp_path / "out" / "clip") == whole


def test_other_settings_do_not_resume_a_run(
    clip: Path, whole_run: Path, whole: dict[str, bytes]
) -> None:
    other = ("--resume", "--set", "output.rolling.seconds=2")
    done = call("run", "--weights", "streets", clip, "-o", whole_run, *RECORD, *other)
    assert done.returncode == 2
    assert "the earlier run differs in sink_settings" in done.stderr
    assert contents(whole_run / "clip") == whole


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sink", "events"], "set output.events.rules"),
        (
            ["--sink", "events", "--set", "output.events.rules=[{name: a, class: Road}]"],
            "output.events.rules.0: exactly one of above and below is required",
        ),
        (["--set", "output.rolling.second=1"], "did you mean output.rolling.file_s"),
        (
            ["--sink", "publish", "--set", "output.publish.address=tcp://0.0.0.0:5570"],
            "other machines can reach it",
        ),
        (
            ["--sink", "publish", "--set", "output.publish.address=localhost:80"],
            "must be tcp://HOST:PORT or ipc://PATH",
        ),
        (["--sink", "publish", "--set", "output.publish.clients=keys"], "must be set together"),
    ],
)
def test_settings_that_will_not_do_are_one_line(
    clip: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    done = call("run", "--weights", "streets", clip, "-o", tmp_path / "out", *options)
    assert done.returncode == 2
    assert words in error_line(done)
    assert not (tmp_path / "out").exists()


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"tcp://127.0.0.1:{found.getsockname()[1]}"


@contextmanager
def subscriber(address: str, **options: Any) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        for name, value in options.items():
            setattr(sub, name, value)
        sub.linger = 0
        sub.rcvtimeo = 60_000
        sub.subscribe(b"")
        sub.connect(address)
        yield sub


def receive(sub: "zmq.Socket[bytes]") -> tuple[dict[str, Any], bytes]:
    topic, header, pixels = sub.recv_multipart()
    values: dict[str, Any] = json.loads(header)
    assert topic.decode() == values["stream"]
    return values, pixels


@pytest.fixture(scope="module")
def masks(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[NDArray[np.uint8]]:
    """The class ids of the clip's frames."""
    out = tmp_path_factory.mktemp("plain") / "out"
    run_pipeline(clip, out)
    return read_ids(out / "clip" / "masks.mp4")


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_subscribers_get_the_masks_of_every_stream(
    clip: Path, masks: list[NDArray[np.uint8]], tmp_path: Path, encoding: str
) -> None:
    other = make_clip(tmp_path / "other.mp4", size=(64, 96))
    address = free_address()
    options = ("--loop", "1000", "--sink", "publish", "--set", f"output.publish.address={address}")
    encoded = ("--set", f"output.publish.encoding={encoding}")
    seen: dict[str, list[int]] = {"clip": [], "other": []}
    with (
        subscriber(address) as sub,
        LiveRun([clip, other], tmp_path / "out", *options, *encoded) as run,
    ):
        while min(map(len, seen.values())) < 20:
            values, pixels = receive(sub)
            stream, size = values["stream"], tuple(values["size"])
            ids: NDArray[np.uint8] = np.frombuffer(pixels, np.uint8)
            if encoding == "png":
                ids = np.asarray(Image.open(io.BytesIO(pixels)))
            ids = ids.reshape(size)
            if stream == "clip":
                assert (ids == masks[values["index"] % 150]).all()
                assert values["pts"] == values["index"] % 150
            assert values["classes"][3] == "Road"
            assert values["shares"][3] == pytest.approx((ids == 3).mean(), abs=1e-6)
            assert (values["version"], values["time_base"]) == (1, "1/25")
            seen[stream].append(values["sequence"])
        assert run.stop() == 143
    for sequences in seen.values():
        assert sequences == sorted(set(sequences))


def test_a_subscriber_that_does_not_keep_up_misses_frames_and_can_count_them(
    tmp_path: Path,
) -> None:
    large = make_clip(tmp_path / "large.mp4", pts=tuple(range(50)), size=(480, 640))
    address = free_address()
    options = ("--loop", "1000", "--sink", "publish", "--set", f"output.publish.address={address}")
    with (
        subscriber(address, rcvhwm=1, rcvbuf=8192) as slow,
        subscriber(address) as fast,
        LiveRun([large], tmp_path / "out", *options) as run,
    ):
        first = receive(slow)[0]["sequence"]
        sequences: list[int] = []
        while len(sequences) < 60:
            sequences.append(receive(fast)[0]["sequence"])
        late = [receive(slow)[0]["sequence"] for _ in range(20)]
        assert run.stop() == 143
    assert late == sorted(set(late))
    assert late[-1] - first > 20  # so many were published meanwhile, and not all came


def test_a_publisher_that_is_killed_is_replaced(clip: Path, tmp_path: Path) -> None:
    address = free_address()
    options = ("--loop", "10000", "--sink", "publish", "--set", f"output.publish.address={address}")
    with subscriber(address) as sub, LiveRun([clip], tmp_path / "out", *options) as run:
        before = receive(sub)[0]["sequence"]
        with sub.get_monitor_socket(zmq.EVENT_DISCONNECTED) as events:
            os.kill(children(run.process.pid)["publish"], 9)
            run.wait_for(lambda: "publish masks: killed by SIGKILL; restarting" in run.log)
            assert events.poll(60_000)  # all that the killed one sent has arrived
            sub.disable_monitor()
        while sub.poll(0):
            before = receive(sub)[0]["sequence"]
        while receive(sub)[0]["sequence"] < before + 100:
            pass
        assert run.stop() == 143
    assert "accounts balance" in run.log


def test_beyond_this_machine_only_those_with_a_key_may_subscribe(
    clip: Path, tmp_path: Path
) -> None:
    keys, clients = tmp_path / "keys", tmp_path / "clients"
    keys.mkdir()
    clients.mkdir()
    server_public, server_secret = zmq.auth.create_certificates(keys, "server")
    public, secret = zmq.auth.create_certificates(keys, "client")
    _, strange = zmq.auth.create_certificates(keys, "stranger")
    os.rename(public, clients / "client.key")
    port = free_address().rpartition(":")[2]
    server_key = zmq.auth.load_certificate(server_public)[0]

    def curve(file: str | Path) -> dict[str, Any]:
        own, hidden = zmq.auth.load_certificate(file)
        return {"curve_serverkey": server_key, "curve_publickey": own, "curve_secretkey": hidden}

    settings = {
        "address": f"tcp://0.0.0.0:{port}",
        "secret_key_file": server_secret,
        "clients": clients,
    }
    options = [word for k, v in settings.items() for word in ("--set", f"output.publish.{k}={v}")]
    address = f"tcp://127.0.0.1:{port}"
    with (
        LiveRun([clip], tmp_path / "out", "--loop", "1000", "--sink", "publish", *options) as run,
        subscriber(address, **curve(secret)) as known,
        subscriber(address, **curve(strange)) as stranger,
        subscriber(address) as bare,
    ):
        assert receive(known)[0]["stream"] == "clip"
        assert (stranger.poll(500), bare.poll(500)) == (0, 0)
        assert run.stop() == 143


def test_the_example_prints_a_line_per_frame(clip: Path, tmp_path: Path) -> None:
    address = free_address()
    options = ("--loop", "1000", "--sink", "publish", "--set", f"output.publish.address={address}")
    command = [sys.executable, str(ROOT / "examples" / "subscribe.py"), address]
    with (
        LiveRun([clip], tmp_path / "out", *options) as run,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as example,
    ):
        assert example.stdout is not None
        line = example.stdout.readline()
        example.kill()
        run.stop()
    assert line.startswith("clip frame ")
    assert line.rstrip().endswith(" missed")
