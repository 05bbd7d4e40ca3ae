"""Live streams share the network, stay fresh, and keep to their rate and duration."""

import time
from pathlib import Path
from typing import Any

import pytest

from icstream.model import ConfigError
from icstream.pipeline.run.run import run_pipeline
from icstream.pipeline.settings.run import load_config
from support.runs import Watcher
from support.watched_runs import QUICK, WatchedRun, check_accounts, rows

pytestmark = pytest.mark.slow


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
        with WatchedRun([source], out, {"live.max_fps": 7}) as live:
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
    with WatchedRun(sources, tmp_path / "out", {**QUICK, "pipeline.max_streams": 1}) as live:
        for name in ("synthetic", "synthetic-2", "synthetic-3"):
            live.wait_for_masks(name, 3)
        result = live.stop()
    check_accounts(live, result)


def test_eight_cameras_get_equal_shares(tmp_path: Path) -> None:
    sources = [f"synthetic:size=320x240,rate=10,seed={seed}" for seed in range(8)]
    with WatchedRun(sources, tmp_path / "out", QUICK) as live:
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
    with WatchedRun([], tmp_path / "out", {"streams": entries}) as live:
        live.wait_for(lambda streams: len(streams) == 2 and all(s.wall_s for s in streams.values()))
        result = live.stop()
    check_accounts(live, result)
    assert [dict(s.accounting.dropped) for s in result.streams] == [{"rate": 10}, {}]
    assert len(list((tmp_path / "out" / "gate" / "masks").glob("*.png"))) == 10
    assert len(rows(tmp_path / "out", "yard")) == 20


def test_a_stream_ends_after_its_duration(tmp_path: Path) -> None:
    settings = {**QUICK, "live.duration_s": 6}  # the network takes some of it
    with WatchedRun(["synthetic:", "/dev/video63"], tmp_path / "out", settings) as live:
        live.wait_for(lambda streams: all(s.wall_s for s in streams.values()))
        result = live.stop()
    check_accounts(live, result)
    assert result.streams[0].accounting.decoded > 0
    assert result.streams[0].error is None


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
