"""The stages as processes: the same masks however they are spread, and accounts that balance."""

import itertools
import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from icstream.model import Fit
from icstream.pipeline import segment
from icstream.pipeline.cli.run_progress import RunProgress
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker_pool import WorkerPool
from icstream.pipeline.run.report import build_report, summarize
from support.clips import damage_packet, instant, make_clip
from support.runs import Watcher, read_ids, run_pipeline


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_clip(path, pts=tuple(range(3, 63, 2)), size=(96, 160))


@pytest.fixture(scope="module")
def masks(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the mask video of a run as it comes, whose ids are those of one process."""
    out = tmp_path_factory.mktemp("runs") / "out"
    run_pipeline(clip, out)
    alone = [result.class_ids for result in segment(clip, weights="streets")]
    assert len(alone) == 30
    assert all(map(np.array_equal, read_ids(out / "clip" / "masks.mp4"), alone))
    return (out / "clip" / "masks.mp4").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transport", "replicas", "window"),
    [("shm", 1, 2), ("shm", 3, 16), ("ipc", 1, 16), ("ipc", 3, 2), ("tcp", 2, 2), ("tcp", 3, 16)],
)
def test_masks_do_not_depend_on_how_the_work_is_spread(
    clip: Path, masks: bytes, tmp_path: Path, transport: str, replicas: int, window: int
) -> None:
    watcher = Watcher()
    result = run_pipeline(
        clip,
        tmp_path / "out",
        watcher=watcher,
        pipeline__transport=transport,
        pipeline__replicas=replicas,
        pipeline__window=window,
    )
    assert (result.exit_code, result.num_restarts) == (0, 0)
    assert (result.transport, result.inference.replicas) == (transport, replicas)
    assert (tmp_path / "out" / "clip" / "masks.mp4").read_bytes() == masks
    assert watcher.faults == []  # while it ran, too
    assert watcher.most_in_flight <= window


@pytest.fixture(scope="module")
def dashcam(data_dir: Path) -> tuple[Path, list[tuple[Fraction, NDArray[np.uint8]]]]:
    """Return a recording, and the times of its frames by PyAV with the ids of one process."""
    recording = data_dir / "dashcam_960x540.mp4"
    alone = list(segment(recording, weights="streets"))
    with av.open(recording) as source:
        times = [instant(frame) for frame in source.decode(video=0)]
    assert len(times) == 221
    assert [result.time for result in alone] == times
    return recording, [(time, one.class_ids) for time, one in zip(times, alone, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transport", "replicas", "window"), [("shm", 3, 16), ("ipc", 2, 2), ("tcp", 1, 16)]
)
def test_a_dashcam_recording_gets_the_masks_of_one_process(
    dashcam: tuple[Path, list[tuple[Fraction, NDArray[np.uint8]]]],
    tmp_path: Path,
    transport: str,
    replicas: int,
    window: int,
) -> None:
    recording, expected = dashcam
    result = run_pipeline(
        recording,
        tmp_path / "out",
        pipeline__transport=transport,
        pipeline__replicas=replicas,
        pipeline__window=window,
    )
    assert result.exit_code == 0
    with av.open(tmp_path / "out" / recording.stem / "masks.mp4") as masks:
        for mask, (time, ids) in zip(masks.decode(video=0), expected, strict=True):
            assert instant(mask) == time
            assert np.array_equal(mask.to_ndarray(format="gray"), ids)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["shm", "ipc"])
@pytest.mark.parametrize("fit", [Fit(), Fit("stretch", (64, 96)), Fit("letterbox", (128, 128))])
def test_only_what_must_be_resized_goes_through_a_preprocess_worker(
    clip: Path, tmp_path: Path, fit: Fit, transport: str
) -> None:
    leases: list[Lease] = []
    height, width = fit.size or (None, None)
    result = run_pipeline(
        clip,
        tmp_path / "out",
        on_frame=lambda _, lease: leases.append(lease),
        sinks=["masks", "overlay"],
        fit__mode=fit.mode,
        fit__width=width,
        fit__height=height,
        pipeline__transport=transport,
    )
    assert result.exit_code == 0
    passed = [one.served["preprocess"].start == one.served["preprocess"].stop for one in leases]
    assert passed == len(leases) * [fit.size is None]
    masks = read_ids(tmp_path / "out" / clip.stem / "masks.mp4")
    alone = segment(clip, weights="streets", fit=fit)
    for ids, one in zip(masks, alone, strict=True):
        assert np.array_equal(ids, one.class_ids)
        assert one.image.flags.c_contiguous


@pytest.mark.slow
def test_stages_work_at_the_same_time(clip: Path, tmp_path: Path) -> None:
    leases: list[Lease] = []
    run_pipeline(
        clip,
        tmp_path / "out",
        on_frame=lambda _, lease: leases.append(lease),
        decode__loop=10,  # on a crowded machine a short run may not overlap by chance
    )
    for one in leases:
        assert list(one.served) == ["decode", "preprocess", "segment", "encode"]
        times = [moment for s in one.served.values() for moment in (s.start, s.stop)]
        assert times == sorted(times)
    for ahead, behind in itertools.combinations(("encode", "segment", "decode"), 2):
        assert any(
            one.served[ahead].start < other.served[behind].stop
            and other.served[behind].start < one.served[ahead].stop
            for one, other in itertools.combinations(leases, 2)
        )


@pytest.mark.slow
def test_the_end_and_the_failure_of_a_stream_leave_the_others_alone(
    clip: Path, masks: bytes, tmp_path: Path
) -> None:
    short = make_clip(tmp_path / "short.mp4", size=(64, 96))
    damaged = make_clip(tmp_path / "damaged.mp4", size=(64, 96))
    damage_packet(damaged, 3)
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(b"no video")
    out = tmp_path / "out"
    watcher = Watcher()
    result = run_pipeline([short, nothing, clip, damaged], out, watcher=watcher)
    assert result.exit_code == 3
    assert (out / "clip" / "masks.mp4").read_bytes() == masks
    streams = {stream.name: stream for stream in result.streams}
    assert "not a video that FFmpeg can read" in (streams["nothing"].error or "")
    assert [s.accounting.encoded for s in streams.values()] == [12, 0, 30, 11]
    assert streams["damaged"].accounting.undecodable == {"damaged packet": 1}
    assert all(stream.faults() == [] for stream in result.streams)
    assert watcher.faults == []


@pytest.mark.slow
def test_more_streams_than_run_at_once_take_turns(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"{n}.mp4", size=(64, 96 + 32 * n)) for n in range(4)]
    result = run_pipeline(clips, tmp_path / "out", pipeline__max_streams=1)
    assert [(s.name, s.accounting.encoded) for s in result.streams] == [
        (str(n), 12) for n in range(4)
    ]


@pytest.mark.slow
def test_a_loop_gives_a_part_for_each_reading(clip: Path, masks: bytes, tmp_path: Path) -> None:
    result = run_pipeline(clip, tmp_path / "out", sinks=("masks", "png"), decode__loop=3)
    (stream,) = result.streams
    assert (result.exit_code, stream.accounting.packets, stream.accounting.encoded) == (0, 90, 90)
    for name in ("masks.mp4", "masks.0001.mp4", "masks.0002.mp4"):
        assert (tmp_path / "out" / "clip" / name).read_bytes() == masks
    assert [part.first_index for part in stream.parts["masks"]] == [0, 30, 60]
    assert len(list((tmp_path / "out" / "clip" / "masks").iterdir())) == 90


@pytest.mark.slow
def test_larger_frames_in_mid_stream_get_larger_slots(tmp_path: Path) -> None:
    clips = []
    for number, size in enumerate([(64, 96), (160, 224), (64, 96)]):
        name = f"{number}.h264"
        clips.append(make_clip(tmp_path / name, size=size, container="h264", gop=12))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(path.read_bytes() for path in clips))
    result = run_pipeline(joined, tmp_path / "out", sinks=("masks", "overlay"), pipeline__window=3)
    assert result.exit_code == 0
    ids = [r.class_ids for r in segment(joined, weights="streets")]
    found = [
        mask
        for name in ("masks.mp4", "masks.0001.mp4", "masks.0002.mp4")
        for mask in read_ids(tmp_path / "out" / "joined" / name)
    ]
    assert len(found) == 36
    assert all(map(np.array_equal, found, ids))


@pytest.mark.slow
def test_the_freshest_frames_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=tuple(range(200)), size=(96, 160))
    watcher = Watcher()
    result = run_pipeline(
        clip,
        tmp_path / "out",
        watcher=watcher,
        pipeline__policy="freshest",
        pipeline__window=4,
        model__precision="fp32",
    )
    (stream,) = result.streams
    dropped = stream.accounting.dropped["stale"]
    assert result.exit_code == 0  # drops by the chosen policy are no failure
    assert 0 < dropped < 200
    assert stream.accounting.encoded + dropped == stream.accounting.decoded == 200
    assert (stream.faults(), watcher.faults) == ([], [])
    with av.open(tmp_path / "out" / "clip" / "masks.mp4") as file:
        times = [instant(frame) for frame in file.decode(video=0)]
    assert len(times) == stream.accounting.encoded
    assert times == sorted(set(times))
    assert set(times) <= {Fraction(n, 25) for n in range(200)}


@pytest.mark.slow
def test_a_frame_that_is_forgotten_shows_in_the_accounts(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = WorkerPool.add

    def forget_one(self: WorkerPool, stream: StreamState, lease: Lease) -> None:
        if (lease.stage, lease.meta.index) != ("segment", 7):
            add(self, stream, lease)

    monkeypatch.setattr(WorkerPool, "add", forget_one)
    result = run_pipeline(clip, tmp_path / "out")
    assert result.exit_code == 1
    (stream,) = result.streams
    assert stream.accounting.encoded == 29
    assert "frame 7 vanished in segment" in stream.faults()
    assert any("still in flight" in fault for fault in stream.faults())
    assert any("the accounts do not balance" in line for line in summarize(result))
    assert not build_report(result, exit_code=1)["streams"]["clip"]["closed"]


@pytest.mark.slow
def test_the_report_has_the_metrics_of_each_stage(clip: Path, tmp_path: Path) -> None:
    values = build_report(run_pipeline(clip, tmp_path / "out"), exit_code=0)
    json.dumps(values)
    stages = ["preprocess", "segment", "encode"]
    stage_counts = values["streams"]["clip"]["hops"]
    assert list(stage_counts) == stages
    assert list(stage_counts["encode"]) == [
        *("received", "finished", "failed", "dropped", "in_flight", "again")
    ]
    assert all(
        (hop["received"], hop["finished"], hop["in_flight"]) == (30, 30, 0)
        for hop in stage_counts.values()
    )
    assert list(values["latency_ms"]) == ["decode", *stages]
    assert list(values["queue_ms"]) == stages
    for table in (*values["latency_ms"].values(), *values["queue_ms"].values(), values["total_ms"]):
        assert 0 <= table["p50"] <= table["p95"] <= table["p99"]
    assert values["restarts"] == 0
    assert values["chosen"]["transport"] == "shm"


@pytest.mark.slow
def test_a_terminal_shows_a_row_per_stream(clip: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4")
    with (tmp_path / "screen").open("w", encoding="utf-8") as screen:
        console = Console(file=screen, force_terminal=True, width=120)
        with RunProgress(console=console) as progress:
            result = run_pipeline([clip, other], tmp_path / "out")
            progress.update(result.streams)
    shown = (tmp_path / "screen").read_text(encoding="utf-8")
    assert "30/?" in shown  # this file has no index
    assert "12/12" in shown
    assert shown.count("done") >= 2


@pytest.mark.slow
def test_more_replicas_than_cores_are_obeyed_with_one_warning(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replicas = (os.cpu_count() or 1) + 1
    result = run_pipeline(clip, tmp_path / "out", pipeline__replicas=replicas, model__threads=1)
    assert (result.exit_code, result.inference.replicas) == (0, replicas)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"{replicas} replicas with 1 threads" in warnings[0]


@pytest.mark.slow
def test_books_close_when_it_is_stopped_between_two_readings(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "short.mp4", size=(64, 64))
    finished: list[int] = []
    result = run_pipeline(
        clip,
        tmp_path / "out",
        on_frame=lambda _stream, lease: finished.append(lease.meta.index),
        should_stop=lambda: len(finished) >= 12,  # the first reading is over
        decode__loop=1000,
        pipeline__window=2,
    )
    (stream,) = result.streams
    assert (result.exit_code, stream.faults()) == (0, [])
    assert stream.accounting.decoded == stream.accounting.encoded >= 12
