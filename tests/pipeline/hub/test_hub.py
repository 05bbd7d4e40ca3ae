"""What a run does when its workers cannot go on, and no others can be started."""

import errno
import os

import pytest

from icstream.pipeline.hub.hub import Hub, HubSettings
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import Deadlines, Supervisor
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.run.runtime_dir import RuntimeDir
from icstream.stages.decode.find import find_sources
from support.hub_parts import network_sizes, slot_pool

NO_ROOM = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.parametrize("full", ["preprocess", "decode", "view", "stream"])
def test_a_run_ends_in_order_where_no_process_can_be_started(full: str) -> None:
    with RuntimeDir("ipc") as runtime_dir:
        num_started = 0

        def start(kind: str) -> Worker:
            nonlocal num_started
            num_started += kind == full
            if num_started > 1 or (full == "stream" and kind == "encode"):
                raise NO_ROOM
            worker = runtime_dir.processes.start(kind, "0", b"{}", threads=1)
            worker.process.kill()
            return worker

        (spec,) = find_sources(["synthetic:"])
        hub = Hub(
            HubSettings(
                window=4,
                max_streams=1,
                max_restarts=100,
                stop_s=1,
                replicas=1,
                preprocess_workers=1,
            ),
            socket=runtime_dir.socket,
            supervisor=Supervisor(
                runtime_dir.processes,
                Deadlines(start_s=9, heartbeat_s=9, frame_s=9),
            ),
            slots=slot_pool(),
            sizes=network_sizes(),
            start_preprocess=lambda _: start("preprocess"),
            start_segment=lambda _: start("segment"),
            start_others={"view": lambda: start("view")},
            on_frame=lambda stream, lease: None,
            on_tick=lambda: None,
        )
        stream = StreamState(
            spec, lambda: start("decode"), lambda _: start("encode"), resumes=False
        )
        hub.run([stream], should_stop=lambda: False)
        hub.end()
    named = f"{full} 0: cannot be restarted"
    if full == "stream":
        named = "synthetic: cannot start its workers"
    assert hub.error == f"{named}: {NO_ROOM.strerror}"
    assert stream.faults() == []
