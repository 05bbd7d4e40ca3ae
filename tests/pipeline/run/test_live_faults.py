"""Live sources that hang up, lose packets, or end before the network is ready, in a real run."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from icstream.pipeline.run.report import summarize
from support.clips import make_clip
from support.live_runs import LiveRun
from support.live_servers import free_port
from support.watched_runs import QUICK, WatchedRun, check_accounts

pytestmark = pytest.mark.slow

SETTINGS = {**QUICK, "live.read_timeout_s": 3}


@contextmanager
def flv_camera(folder: Path) -> Iterator[str]:
    """Serve an endless HTTP-FLV stream that hangs up after two seconds, as if it never ended."""
    clip = make_clip(
        folder / "clip.flv",
        pts=tuple(range(0, 2000, 40)),
        time_base=Fraction(1, 1000),
        size=(96, 128),
        gop=10,
        options={"bf": "0"},
    )
    data = clip.read_bytes()
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n"
                    connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
                    part = data[: len(data) // 2]
                    connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(part), part))

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/live.flv"
        finally:
            over.set()
            thread.join()


@contextmanager
def lossy_udp_camera(folder: Path, port: int) -> Iterator[None]:
    """Send MPEG-TS, ten frames a second, of which one datagram in 25 never arrives."""
    clip = make_clip(
        folder / "clip.ts",
        pts=tuple(range(150)),
        size=(96, 128),
        gop=10,
        options={"bf": "0", "b": "400k"},
    )
    data, over = clip.read_bytes(), threading.Event()
    datagrams = [data[place : place + 1316] for place in range(0, len(data), 1316)]
    dice = np.random.default_rng(2)

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not over.is_set():
                for number, datagram in enumerate(datagrams):
                    if number < 8 or dice.random() >= 0.04:
                        with suppress(OSError):
                            sender.sendto(datagram, ("127.0.0.1", port))
                    if over.wait(15 / len(datagrams)):
                        return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_flv_camera_comes_back_and_lost_datagrams_are_counted(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    with (
        flv_camera(tmp_path) as flv,
        lossy_udp_camera(tmp_path, port),
        WatchedRun([flv, f"udp://127.0.0.1:{port}"], tmp_path / "out", SETTINGS) as live,
    ):
        live.wait_for(
            lambda streams: (
                streams["127.0.0.1_live.flv"].source_status.connections >= 3
                and streams["127.0.0.1_live.flv"].accounting.encoded > 20
                and streams["127.0.0.1"].accounting.undecodable["after damage"] > 0
                and streams["127.0.0.1"].accounting.encoded > 0
            )
        )
        result = live.stop()
    check_accounts(live, result)
    summary = summarize(result)
    assert any("accounts balance" in line for line in summary)


def test_frames_that_come_before_the_network_is_ready_are_not_stale(tmp_path: Path) -> None:
    with LiveRun(
        ["synthetic:size=64x64,frames=20,rate=20"], tmp_path / "out", "--sink", "areas"
    ) as run:
        assert run.wait() == 0, run.log
    lines = (tmp_path / "out" / "synthetic" / "areas.csv").read_text().splitlines()
    assert len(lines) > 1
