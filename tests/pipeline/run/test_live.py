"""Live sources from real servers: they come, go and return, and every frame is accounted for."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from icstream.model import ConfigError
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.run.report import build_report, summarize
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.run.run import run_pipeline
from icstream.pipeline.settings.run import load_config
from support.clips import make_clip
from support.live_runs import children
from support.live_servers import (
    free_port,
    hls_camera,
    mjpeg_camera,
    push_frames,
    rtsp_camera,
    udp_camera,
    web_server,
)
from support.runs import Watcher

QUICK: dict[str, Any] = {
    "live.backoff": {"first_s": 0.1, "cap_s": 0.5},
    "live.read_timeout_s": 2,
    "live.max_age_s": 30,
}
"""Back soon, and so patient with frames that even a crowded machine gets some done."""
PATIENCE_S = 90


class LiveRun(Watcher):
    """A run in a thread, whose streams can be watched while it goes on."""

    def __init__(self, sources: Sequence[str], out: Path, settings: dict[str, Any]) -> None:
        super().__init__()
        self.streams: dict[str, StreamState] = {}
        self.result: RunResult | None = None
        self._sources, self._out = sources, out
        common = {"model.weights": "streets", "output.sinks": ["areas"]}
        self._config = load_config(None, (), {**common, **settings})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.result = run_pipeline(
            self._config,
            self._sources,
            self._out,
            progress=self,
            should_stop=self._stop.is_set,
        )

    def __enter__(self) -> "LiveRun":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> RunResult:
        """Ends the run in order."""
        self._stop.set()
        self._thread.join(30)
        assert self.result is not None
        return self.result

    def update(self, streams: Sequence[StreamState]) -> None:
        super().update(streams)
        self.streams = {stream.name: stream for stream in streams}

    def wait_for(self, what: Callable[[dict[str, StreamState]], bool]) -> None:
        """Waits until something is so of the streams."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self._thread.is_alive():
            if self.streams and what(self.streams):
                return
            time.sleep(0.02)
        source_status = {name: (s.source_status, s.accounting) for name, s in self.streams.items()}
        raise AssertionError(f"it never came to that: {source_status}")

    def wait_for_masks(self, name: str, count: int) -> None:
        """Waits until so many more frames of a stream are written."""
        self.wait_for(lambda streams: name in streams)
        before = self.streams[name].accounting.encoded
        self.wait_for(lambda streams: streams[name].accounting.encoded >= before + count)


def rows(out: Path, stream: str) -> list[dict[str, str]]:
    """Gives the lines of a table of areas: one for each frame."""
    with (out / stream / "areas.csv").open() as file:
        return list(csv.DictReader(file))


def check_accounts(run: LiveRun, result: RunResult) -> None:
    assert run.faults == []  # while it ran, too
    assert [stream.faults() for stream in result.streams] == [[] for _ in result.streams]
    for stream in result.streams:
        accounting = stream.accounting
        assert accounting.decoded == accounting.encoded + accounting.dropped.total()
        assert set(accounting.dropped) <= {"stale", "rate", "stopped"}


def test_an_rtsp_camera_comes_back_as_often_as_it_goes(tmp_path: Path) -> None:
    port = free_port()
    live = LiveRun([f"rtsp://127.0.0.1:{port}/cam"], tmp_path / "out", QUICK)
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


def test_passwords_are_neither_told_nor_written(
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
    live = LiveRun([], tmp_path / "out", settings)
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
        live = LiveRun([], tmp_path / "out", {**QUICK, "streams": entries})
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
        LiveRun([f"{url}/drive.mp4"], tmp_path / "out", QUICK) as live,
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
    live = LiveRun([f"zmq://127.0.0.1:{port}"], tmp_path / "out", QUICK)
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
    live = LiveRun([], tmp_path / "out", {**QUICK, "streams": entries})
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


def test_with_a_model_too_slow_masks_stay_fresh(tmp_path: Path) -> None:
    ages: list[float] = []
    config = load_config(
        None,
        (),
        {
            "model.weights": "camvid",
            "model.threads": 1,
            "pipeline.replicas": 1,
            "output.sinks": ["areas"],
            "live.max_age_s": 5,
        },
    )
    watcher = Watcher()
    result = run_pipeline(
        config,
        ["synthetic:size=960x540,rate=60,frames=300"],
        tmp_path / "out",
        progress=watcher,
        should_stop=lambda: False,
        on_frame=lambda _, lease: ages.append(time.monotonic() - lease.served["decode"].start),
    )
    (stream,) = result.streams
    assert result.exit_code == 0
    assert stream.accounting.dropped["stale"] > 0
    assert (
        stream.accounting.encoded + stream.accounting.dropped.total()
        == stream.accounting.decoded
        == 300
    )
    # The queue does not stand: every mask is younger than the budget, the last as the first.
    assert max(ages) < 5


def test_the_rate_limit_keeps_frames_by_their_times_alone(tmp_path: Path) -> None:
    kept = []
    for attempt in range(2):
        out = tmp_path / f"out{attempt}"
        source = "synthetic:pace=fast,frames=100,rate=30,loss=0.1,seed=5"
        with LiveRun([source], out, {"live.max_fps": 7}) as live:
            live.wait_for(lambda streams: bool(streams["synthetic"].wall_s))
            result = live.stop()
        check_accounts(live, result)
        assert set(result.streams[0].accounting.dropped) == {"rate"}
        kept.append([int(row["pts"]) for row in rows(out, "synthetic")])
    assert kept[0] == kept[1]
    cells = [pts * 7 // 30 for pts in kept[0]]
    assert cells == sorted(set(cells))


def test_live_streams_do_not_wait_for_one_another(tmp_path: Path) -> None:
    sources = [f"synthetic:seed={seed},rate=5" for seed in range(3)]
    with LiveRun(sources, tmp_path / "out", {**QUICK, "pipeline.max_streams": 1}) as live:
        for name in ("synthetic", "synthetic-2", "synthetic-3"):
            live.wait_for_masks(name, 3)
        result = live.stop()
    check_accounts(live, result)


def test_a_silent_camera_is_noticed_given_up_and_comes_back(tmp_path: Path) -> None:
    settings = {**QUICK, "live.stall_s": 0.5, "live.read_timeout_s": 1.5}
    with LiveRun(["synthetic:stall=10:4"], tmp_path / "out", settings) as live:
        live.wait_for(lambda streams: streams["synthetic"].source_status.state == "stalled")
        live.wait_for(lambda streams: streams["synthetic"].source_status.last_error is not None)
        live.wait_for_masks("synthetic", 3)
        assert live.streams["synthetic"].source_status.state == "live"
        result = live.stop()
    check_accounts(live, result)
    assert "no frame for" in str(result.streams[0].source_status.last_error)
    assert result.streams[0].source_status.connections == 2


def test_eight_cameras_get_equal_shares(tmp_path: Path) -> None:
    sources = [f"synthetic:size=320x240,rate=10,seed={seed}" for seed in range(8)]
    with LiveRun(sources, tmp_path / "out", QUICK) as live:
        live.wait_for(lambda streams: all(s.accounting.encoded > 3 for s in streams.values()))
        before = {name: stream.accounting.encoded for name, stream in live.streams.items()}
        live.wait_for_masks("synthetic", 40)
        done = [live.streams[name].accounting.encoded - count for name, count in before.items()]
        result = live.stop()
    check_accounts(live, result)
    assert len(done) == 8
    assert max(abs(count - sum(done) / 8) for count in done) < 0.25 * sum(done) / 8
    assert result.num_restarts == 0


def test_each_stream_may_have_settings_of_its_own(tmp_path: Path) -> None:
    entries = [
        {
            "name": "gate",
            "source": "synthetic:pace=fast,frames=20",
            "policy": "every_frame",
            "sinks": ["png"],
            "live": {"max_fps": 5},
        },
        {"name": "yard", "source": "synthetic:pace=fast,frames=20,seed=1"},
    ]
    with LiveRun([], tmp_path / "out", {"streams": entries}) as live:
        live.wait_for(lambda streams: len(streams) == 2 and all(s.wall_s for s in streams.values()))
        result = live.stop()
    check_accounts(live, result)
    assert [dict(s.accounting.dropped) for s in result.streams] == [{"rate": 10}, {}]
    assert len(list((tmp_path / "out" / "gate" / "masks").glob("*.png"))) == 10
    assert len(rows(tmp_path / "out", "yard")) == 20


def test_a_stream_ends_after_its_duration(tmp_path: Path) -> None:
    settings = {**QUICK, "live.duration_s": 2}
    with LiveRun(["synthetic:", "/dev/video63"], tmp_path / "out", settings) as live:
        live.wait_for(lambda streams: all(s.wall_s for s in streams.values()))
        result = live.stop()
    check_accounts(live, result)
    assert result.streams[0].accounting.decoded > 0
    assert result.streams[0].error is None


@pytest.mark.parametrize("source", ["rtsp://127.0.0.1:1/cam", "synthetic:stall=1:3000", "zmq:"])
def test_a_run_ends_in_order_whatever_its_source_is_doing(tmp_path: Path, source: str) -> None:
    if source == "zmq:":
        source = f"zmq://{tmp_path / 'in'}"
    command = [
        sys.executable,
        "-m",
        "icstream.pipeline",
        "run",
        source,
        "-o",
        str(tmp_path / "out"),
    ]
    options = ["--weights", "streets", "--sink", "masks"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    process.stderr.readline()  # by then signals are taken
    time.sleep(4)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    streams = json.loads((tmp_path / "out" / "report.json").read_text())["streams"]
    assert all(stream["closed"] for stream in streams.values())
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_killed_decoder_is_replaced_and_the_stream_goes_on(tmp_path: Path) -> None:
    with LiveRun(["synthetic:"], tmp_path / "out", QUICK) as live:
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
    ("settings", "words"),
    [
        ({"streams": [{"source": "synthetic:", "live": {"max_fsp": 2}}]}, r"streams\.0\.live"),
        ({"streams": [{"source": "synthetic:", "live": {"max_fps": -2}}]}, "max_fps"),
        ({"live.rtsp_transport": "http"}, "live.rtsp_transport"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, (), settings)
