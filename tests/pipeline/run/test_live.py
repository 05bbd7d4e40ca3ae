"""Live sources from real servers: they come, go and return, and every frame is accounted for."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from icstream.pipeline.run.report import build_report, summarize
from support.clips import make_clip
from support.live_runs import LiveRun, children, get
from support.live_servers import (
    free_port,
    hls_camera,
    mjpeg_camera,
    push_frames,
    rtsp_camera,
    udp_camera,
    web_server,
)
from support.watched_runs import QUICK, WatchedRun, check_accounts, rows

pytestmark = pytest.mark.slow


def test_an_rtsp_camera_comes_back_as_often_as_it_goes(tmp_path: Path) -> None:
    port = free_port()
    live = WatchedRun([f"rtsp://127.0.0.1:{port}/cam"], tmp_path / "out", QUICK)
    name = "127.0.0.1_cam"
    with live:
        for cycle in range(3):
            live.wait_for(
                lambda streams: streams[name].source_status.state in ("backing off", "connecting")
            )
            with rtsp_camera(port):
                live.wait_for_masks(name, 5)
                assert live.streams[name].source_status.connections == cycle + 1
        live.wait_for(lambda streams: streams[name].source_status.state == "backing off")
        result = live.stop()
    check_accounts(live, result)
    (stream,) = result.streams
    assert result.exit_code == 0
    assert stream.source_status.connections == 3
    assert stream.source_status.last_error is not None
    assert len(stream.parts["areas"]) == 3  # a new connection begins a new part
    times = [float(row["seconds"]) for row in rows(tmp_path / "out", name)]
    assert times == sorted(set(times))
    assert len(times) == stream.accounting.encoded


def test_passwords_are_neither_logged_nor_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "gehe1m")
    caplog.set_level("DEBUG")
    port = free_port()
    settings = {
        **QUICK,
        "streams": [
            {"source": f"rtsp://guest:${{CAMERA_PASSWORD}}@127.0.0.1:{port}/cam", "name": "right"},
            {"source": f"rtsp://guest:wr0ng@127.0.0.1:{port}/cam?k=gehe1m", "name": "wrong"},
        ],
    }
    live = WatchedRun([], tmp_path / "out", settings)
    with rtsp_camera(port, "--login", "guest:gehe1m"), live:
        live.wait_for_masks("right", 2)
        live.wait_for(lambda streams: streams["wrong"].source_status.last_error is not None)
        source_status = live.streams["wrong"].source_status
        result = live.stop()
    check_accounts(live, result)
    assert "401" in str(source_status.last_error)
    told = [json.dumps(build_report(result, exit_code=0)), *summarize(result), caplog.text]
    told += [path.read_text() for path in (tmp_path / "out").glob("*.json")]
    assert all(secret not in text for secret in ("gehe1m", "wr0ng") for text in told)


def test_every_kind_of_network_stream_becomes_masks(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    (tmp_path / "hls").mkdir()
    with hls_camera(tmp_path / "hls") as hls, mjpeg_camera() as mjpeg, udp_camera(port):
        entries = [
            {"name": "hls", "source": hls},
            {"name": "mjpeg", "source": mjpeg},
            {"name": "udp", "source": f"udp://127.0.0.1:{port}"},
        ]
        live = WatchedRun([], tmp_path / "out", {**QUICK, "streams": entries})
        with live:
            for name in ("hls", "mjpeg", "udp"):
                live.wait_for_masks(name, 5)
            result = live.stop()
    check_accounts(live, result)
    clocks = {s.name: s.info.clock for s in result.streams if s.info is not None}
    assert clocks == {"hls": "pts", "mjpeg": "arrival", "udp": "pts"}
    for stream in result.streams:
        assert stream.source_status.connections == 1
        times = [float(row["seconds"]) for row in rows(tmp_path / "out", stream.name)]
        assert times == sorted(set(times))


def test_a_recording_on_a_web_server_is_read_to_its_end(tmp_path: Path) -> None:
    make_clip(tmp_path / "drive.mp4", pts=tuple(range(3, 63, 2)), size=(96, 160))
    with (
        web_server(tmp_path) as url,
        WatchedRun([f"{url}/drive.mp4"], tmp_path / "out", QUICK) as live,
    ):
        live.wait_for(lambda streams: bool(streams["127.0.0.1_drive.mp4"].wall_s))
        result = live.stop()
    check_accounts(live, result)
    assert result.exit_code == 0
    assert result.streams[0].source_status.connections == 1
    times = [row["pts"] for row in rows(tmp_path / "out", "127.0.0.1_drive.mp4")]
    assert times == [str(pts) for pts in range(3, 63, 2)]


def test_programs_that_push_frames_come_and_go(tmp_path: Path) -> None:
    port = free_port()
    live = WatchedRun([f"zmq://127.0.0.1:{port}"], tmp_path / "out", QUICK)
    with live:
        for _ in range(2):
            with push_frames(f"tcp://127.0.0.1:{port}", "--frames", "10000") as sender:
                live.wait_for_masks("127.0.0.1", 5)
                sender.kill()
        with push_frames(f"tcp://127.0.0.1:{port}", "--frames", "5"):
            live.wait_for(lambda streams: bool(streams["127.0.0.1"].wall_s))
        result = live.stop()
    check_accounts(live, result)
    assert result.exit_code == 0
    assert len(result.streams[0].parts["areas"]) == 3  # each began its time anew


def test_one_bad_camera_does_not_disturb_the_others(tmp_path: Path) -> None:
    late = free_port()
    entries = [
        {"name": "dead", "source": f"rtsp://127.0.0.1:{free_port()}/cam"},
        {"name": "late", "source": f"rtsp://127.0.0.1:{late}/cam"},
        {"name": "unplugged", "source": "/dev/video63"},
        {"name": "flapping", "source": "synthetic:cut=5,offline=2"},
        {"name": "good", "source": "synthetic:seed=2"},
    ]
    live = WatchedRun([], tmp_path / "out", {**QUICK, "streams": entries})
    with live:
        live.wait_for_masks("good", 10)
        with rtsp_camera(late):
            live.wait_for_masks("late", 3)
        live.wait_for(lambda streams: streams["flapping"].source_status.connections >= 3)
        result = live.stop()
    check_accounts(live, result)
    streams = {stream.name: stream for stream in result.streams}
    assert result.exit_code == 3  # two never came
    assert "refused" in str(streams["dead"].error)
    assert "/dev/video63: no such file or directory (cameras here:" in str(
        streams["unplugged"].error
    )
    assert streams["good"].source_status.connections == 1
    assert streams["good"].error is None


def test_a_silent_camera_is_noticed_given_up_and_comes_back(tmp_path: Path) -> None:
    settings = {**QUICK, "live.stall_s": 0.5, "live.read_timeout_s": 1.5}
    with WatchedRun(["synthetic:stall=10:4"], tmp_path / "out", settings) as live:
        live.wait_for(lambda streams: streams["synthetic"].source_status.state == "stalled")
        live.wait_for(lambda streams: streams["synthetic"].source_status.last_error is not None)
        live.wait_for_masks("synthetic", 3)
        assert live.streams["synthetic"].source_status.state == "live"
        result = live.stop()
    check_accounts(live, result)
    assert "no frame for" in str(result.streams[0].source_status.last_error)
    assert result.streams[0].source_status.connections == 2


def test_a_killed_decoder_is_replaced_and_the_stream_goes_on(tmp_path: Path) -> None:
    with WatchedRun(["synthetic:"], tmp_path / "out", QUICK) as live:
        for _ in range(2):
            live.wait_for_masks("synthetic", 3)
            os.kill(children(os.getpid())["decode"], signal.SIGKILL)
        live.wait_for_masks("synthetic", 3)
        result = live.stop()
    check_accounts(live, result)
    assert result.num_restarts == 2
    times = [float(row["seconds"]) for row in rows(tmp_path / "out", "synthetic")]
    assert times == sorted(set(times))
    indices = [int(row["index"]) for row in rows(tmp_path / "out", "synthetic")]
    assert indices == sorted(set(indices))


@pytest.mark.parametrize(
    ("source", "states"),
    [
        ("rtsp://127.0.0.1:1/cam", {"connecting", "backing off"}),
        ("synthetic:stall=1:3000", {"stalled", "backing off"}),
        ("zmq:", {"connecting"}),
    ],
)
def test_a_run_ends_in_order_whatever_its_source_is_doing(
    tmp_path: Path, source: str, states: set[str]
) -> None:
    if source == "zmq:":
        source = f"zmq://{tmp_path / 'in'}"
    options = ("--sink", "masks", "--set", "live.stall_s=0.5", "--view-address", "127.0.0.1:0")

    def is_so() -> bool:
        code, body = get(f"{run.address()}/status")
        return code == 200 and {s["state"] for s in json.loads(body)["streams"]} <= states

    with LiveRun([source], tmp_path / "out", *options) as run:
        run.wait_for(is_so)
        assert run.stop() == 143, run.log
    streams = json.loads((tmp_path / "out" / "report.json").read_text())["streams"]
    assert all(stream["closed"] for stream in streams.values())
    assert not Path(f"/proc/{run.process.pid}").exists()
