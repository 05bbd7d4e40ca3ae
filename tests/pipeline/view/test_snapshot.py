"""The status of a run: what is reckoned of streams that have ended, and what goes on."""

import time
from unittest.mock import Mock

import pytest

from icstream.model.labels import CAMVID
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.view import snapshot
from icstream.pipeline.view.snapshot import SnapshotTaker
from icstream.pipeline.view.status import RunStatus, StreamTimes
from support.hub_parts import SPAN, Workers, open_leases


def take(taker: SnapshotTaker, *streams: StreamState) -> RunStatus:
    return taker.take(streams, [], restarts=0, over=False)


def test_a_stream_that_has_ended_is_reckoned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = SnapshotTaker(Mock(labels=CAMVID, replicas=1))
    ended, running = Workers().stream("ended"), Workers().stream("running")
    for stream in (ended, running):
        for lease in open_leases(stream, 0):
            lease.served["segment"] = SPAN
            stream.latency.add(lease)
        stream.accounting.encoded = 1
    ended.phase = Phase.CLOSED
    before = take(taker, ended, running)
    names: list[str] = []
    reckon = snapshot._times

    def counted(stream: StreamState) -> StreamTimes:
        names.append(stream.name)
        return reckon(stream)

    monkeypatch.setattr(snapshot, "_times", counted)
    running.accounting.encoded = 2
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 60)
    after = take(taker, ended, running)
    assert names == ["running"]
    assert after.times["ended"] == before.times["ended"]
    was, is_now = before.streams[0], after.streams[0]
    assert (is_now.state, is_now.encoded, is_now.latency_ms) == (was.state, 1, was.latency_ms)
    # Time goes on for what has ended, too.
    assert is_now.state_s is not None
    assert is_now.state_s >= 60
    assert is_now.last_frame_s == pytest.approx(60, abs=5)
