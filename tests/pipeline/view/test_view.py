"""The live view over real sockets: what it shows, to whom, and what it costs the others."""

import io
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from support.clips import make_clip, moving_image
from support.commands import call, error_line
from support.live_runs import LiveRun, children, get, is_running, read_frames
from support.runs import read_ids, run_pipeline

pytestmark = pytest.mark.slow

TOKEN = "a token of some length"
ENDLESS = ("--loop", "100000", "--sink", "areas")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", size=(96, 160))


@pytest.fixture(scope="module")
def live(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRun]:
    """A run of two streams that never ends."""
    other = make_clip(clip.with_name("other.mp4"), size=(64, 96))
    out = tmp_path_factory.mktemp("live") / "out"
    view = ("--view-address", "127.0.0.1:0", "--metrics-address", "localhost:0")
    with LiveRun([clip, other], out, *ENDLESS, *view) as run:
        run.status()
        yield run


def test_what_is_shown_are_the_images_and_their_masks(
    clip: Path, live: LiveRun, tmp_path: Path
) -> None:
    run_pipeline(clip, tmp_path / "out")
    masks = read_ids(tmp_path / "out" / "clip" / "masks.mp4")
    seen: set[int] = set()
    number = 0
    while len(seen) < 4:
        _, body = get(f"{live.address()}/frames?after={number}&stream=clip")
        for entry, jpeg, png in read_frames(body) if body else ():
            assert (entry["stream"], entry["size"]) == ("clip", [96, 160])
            assert entry["number"] > number
            number, index = entry["number"], entry["index"] % 12
            ids = np.asarray(Image.open(io.BytesIO(png)))
            assert (ids == masks[index]).all()
            image = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.int32)
            assert np.abs(image - moving_image(index, (96, 160))).mean() < 12
            assert entry["pts"] == index
            seen.add(index)


def test_a_viewer_gets_every_stream_at_most_ten_times_a_second(live: LiveRun) -> None:
    shown: Counter[str] = Counter()
    number = 0
    start = time.monotonic()
    while time.monotonic() - start < 2 or len(shown) < 2:
        _, body = get(f"{live.address()}/frames?after={number}")
        for entry, _, _ in read_frames(body) if body else ():
            shown[entry["stream"]] += 1
            number = max(number, entry["number"])
    assert set(shown) == {"clip", "other"}
    assert max(shown.values()) <= 10 * (time.monotonic() - start) + 2


def test_invalid_requests_of_a_viewer_are_refused(live: LiveRun) -> None:
    assert get(f"{live.address()}/frames?after=x")[0] == 400
    assert get(f"{live.address()}/frames?after=0&stream=none")[0] == 204
    assert get(f"{live.address()}/nothing")[0] == 404
    assert get(f"{live.address()}/frames?after=0", data=b"x")[0] == 405


def test_a_viewer_that_reads_a_byte_a_second_misses_frames_and_nobody_else_does(
    live: LiveRun,
) -> None:
    host, _, port = live.address().removeprefix("http://").partition(":")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        slow.connect((host, int(port)))
        # It asks for much at once, and takes next to nothing.
        slow.sendall(200 * f"GET /frames?after=0 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        before = live.status()["streams"][0]["encoded"]
        numbers: list[int] = []
        next_byte = 0.0
        while len(numbers) < 20:
            if time.monotonic() >= next_byte:
                assert len(slow.recv(1)) == 1
                next_byte = time.monotonic() + 1
            _, body = get(f"{live.address()}/frames?after={max(numbers, default=0)}&stream=clip")
            numbers += [entry["number"] for entry, _, _ in (read_frames(body) if body else ())]
        assert numbers == sorted(set(numbers))
        status = live.status()
        assert status["streams"][0]["encoded"] > before
        view = next(p["pid"] for p in status["processes"] if p["label"] == "view server")
        assert int(Path(f"/proc/{view}/statm").read_text().split()[1]) * 4096 < 400e6


def test_metrics_are_those_of_the_accounts(live: LiveRun) -> None:
    text = get(f"{live.address('metrics')}/metrics")[1].decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    status = live.status()
    names = {stream["name"] for stream in status["streams"]}
    assert names == {"clip", "other"}
    encoded = families["icstream_frames_encoded"].samples
    assert {sample.labels["stream"] for sample in encoded} == names
    assert all(0 < sample.value <= status["streams"][0]["encoded"] for sample in encoded[:1])
    latency = families["icstream_latency_seconds"].samples
    buckets = [
        s.value for s in latency if s.name.endswith("_bucket") if s.labels["stream"] == "clip"
    ]
    assert buckets == sorted(buckets)
    count = next(s for s in latency if s.name.endswith("_count") and s.labels["stream"] == "clip")
    assert buckets[-1] == count.value
    stages = {s.labels["stage"] for s in families["icstream_service_seconds"].samples}
    assert stages == {"decode", "preprocess", "segment", "encode"}
    memory = families["icstream_process_resident_memory_bytes"].samples
    assert {"hub", "segment 0", "encode clip"} <= {sample.labels["process"] for sample in memory}
    states = families["icstream_stream_state"].samples
    assert [s.labels["state"] for s in states if s.labels["stream"] == "clip" and s.value] == [
        status["streams"][0]["state"]
    ]


def test_probes_report_liveness_and_readiness(live: LiveRun) -> None:
    for url in (live.address(), live.address("metrics")):
        assert get(f"{url}/healthz") == (200, b"alive\n")
        assert get(f"{url}/readyz") == (200, b"ready\n")
    assert get(f"{live.address('metrics')}/frames?after=0")[0] == 404  # figures alone


def test_probes_are_answered_however_many_connections_are_silent(live: LiveRun) -> None:
    for url in (live.address(), live.address("metrics")):
        host, _, port = url.removeprefix("http://").partition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(250)]
        assert get(f"{url}/healthz")[0] == 200
        assert get(f"{url}/status")[0] == 200
        for connection in silent:
            connection.close()


def test_probes_need_no_host_and_no_body(live: LiveRun) -> None:
    host, _, port = live.address().removeprefix("http://").partition(":")
    for path in ("/healthz", "/readyz", "/metrics"):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n")


def test_a_page_of_somebody_else_may_not_ask_under_its_own_name(live: LiveRun) -> None:
    assert get(f"{live.address()}/status", Host="evil.example:8787")[0] == 403
    assert get(f"{live.address()}/status", Host="localhost:1")[0] == 200


def test_a_view_that_is_killed_comes_back_at_the_same_address(live: LiveRun) -> None:
    before = live.status()
    killed = children(live.process.pid)["view"]
    _, body = get(f"{live.address()}/frames?after=0&stream=clip")
    number = read_frames(body)[0][0]["number"]
    os.kill(killed, 9)
    live.wait_for(lambda: get(f"{live.address()}/status")[0] == 200)
    live.wait_for(lambda: get(f"{live.address()}/frames?after={number}")[1])
    after = live.status()
    assert children(live.process.pid)["view"] != killed
    assert after["restarts"] > before["restarts"]
    assert after["streams"][0]["encoded"] > before["streams"][0]["encoded"]


def test_a_run_with_a_viewer_ends_in_order(clip: Path, tmp_path: Path) -> None:
    with LiveRun([clip], tmp_path / "out", *ENDLESS, "--view-address", "127.0.0.1:0") as run:
        run.status()
        workers = list(children(run.process.pid).values())
        host, _, port = run.address().removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as waiting:
            waiting.sendall(
                b"GET /frames?after=999999999999999999 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            start = time.monotonic()
            assert run.stop() == 143
            assert time.monotonic() - start < 10
        assert not any(map(is_running, workers))
        assert "accounts balance" in run.log


def test_with_a_token_only_requests_with_it_are_allowed(clip: Path, tmp_path: Path) -> None:
    options = ("--view-address", "0.0.0.0:0", "--view-token", TOKEN)
    with LiveRun([clip], tmp_path / "out", *ENDLESS, *options) as run:
        url = run.address().replace("0.0.0.0", "127.0.0.1")
        run.wait_for(lambda: get(f"{url}/healthz")[0] == 200)
        for path in ("/status", "/frames?after=0", "/metrics", "/view.js"):
            assert get(f"{url}{path}")[0] == 401
            assert get(f"{url}{path}", Authorization=f"Bearer {TOKEN}x")[0] == 401
            assert get(f"{url}{path}", Cookie=f"icstream_view={TOKEN}")[0] == 401
        run.wait_for(lambda: get(f"{url}/status", Authorization=f"Bearer {TOKEN}")[0] == 200)
        code, page = get(f"{url}/")
        assert (code, b"password" in page) == (401, True)
        assert get(f"{url}/login", data=b"token=wrong")[0] == 401
        assert get(f"{url}/login", data=b"token=" + 9000 * b"x")[0] == 413
        assert run.stop() == 143
        assert TOKEN not in (tmp_path / "out" / "report.json").read_text()
        assert TOKEN not in run.log


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--view-address", "0.0.0.0:0"], "other machines can reach it"),
        (["--metrics-address", "0.0.0.0:0"], "other machines can reach it"),
        (["--view-address", "127.0.0.1:0", "--metrics-address", "0.0.0.0:0"], "other machines"),
        (["--view-address", "0.0.0.0:0", "--view-token", "short"], "at least 16"),
        (["--view-address", "localhost"], "HOST:PORT"),
        (["--view-address", "127.0.0.1:99999"], "HOST:PORT"),
        (["--view-address", "127.0.0.1:\xb2"], "HOST:PORT"),
        (["--view-address", "no.such.host.invalid:80"], "cannot listen"),
    ],
)
def test_an_address_that_will_not_do_is_one_line_and_nothing_is_written(
    clip: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    done = call("run", "--weights", "streets", clip, "-o", tmp_path / "out", *options)
    assert done.returncode == 2
    assert words in error_line(done)
    assert not (tmp_path / "out").exists()


def test_an_address_in_use_is_one_line(clip: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ("--weights", "streets", "-o", tmp_path / "out", "--view-address", address)
        done = call("run", clip, *options)
        assert done.returncode == 2
        assert f"{address}: cannot listen (Address already in use)" in done.stderr


def test_without_the_packages_one_line_names_the_extra(clip: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['icstream', *sys.argv[1:]];"
        "from icstream.pipeline.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "run", str(clip), "-o", str(tmp_path / "out"), "--view"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "pip install 'icstream[serve]'" in done.stderr
