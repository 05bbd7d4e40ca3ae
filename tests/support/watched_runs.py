"""Runs in a thread of the test, whose streams can be watched."""

import csv
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.run.run import run_pipeline
from icstream.pipeline.settings.run import load_config
from support.runs import Watcher

QUICK: dict[str, Any] = {
    "live.backoff": {"first_s": 0.1, "cap_s": 0.5},
    "live.read_timeout_s": 2,
    "live.max_age_s": 30,
}
"""Settings for quick reconnects, and for patience with frames on a busy machine."""
PATIENCE_S = 90


class WatchedRun(Watcher):
    """A run in a thread, whose streams can be watched."""

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

    def __enter__(self) -> "WatchedRun":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> RunResult:
        """Stop the run regularly."""
        self._stop.set()
        self._thread.join(30)
        assert self.result is not None
        return self.result

    def update(self, streams: Sequence[StreamState]) -> None:
        super().update(streams)
        self.streams = {stream.name: stream for stream in streams}

    def wait_for(self, what: Callable[[dict[str, StreamState]], bool]) -> None:
        """Wait until a condition on the streams is true."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self._thread.is_alive():
            if self.streams and what(self.streams):
                return
            time.sleep(0.02)
        source_status = {name: (s.source_status, s.accounting) for name, s in self.streams.items()}
        raise AssertionError(f"the condition never became true: {source_status}")

    def wait_for_masks(self, name: str, count: int) -> None:
        """Wait until a number of additional frames of a stream are written."""
        self.wait_for(lambda streams: name in streams)
        before = self.streams[name].accounting.encoded
        self.wait_for(lambda streams: streams[name].accounting.encoded >= before + count)


def rows(out: Path, stream: str) -> list[dict[str, str]]:
    """Return the lines of a table of areas, one for each frame."""
    with (out / stream / "areas.csv").open() as file:
        return list(csv.DictReader(file))


def check_accounts(run: WatchedRun, result: RunResult) -> None:
    assert run.faults == []  # also while it runs
    assert [stream.faults() for stream in result.streams] == [[] for _ in result.streams]
    for stream in result.streams:
        accounting = stream.accounting
        assert accounting.decoded == accounting.encoded + accounting.dropped.total()
        assert set(accounting.dropped) <= {"stale", "rate", "stopped"}
