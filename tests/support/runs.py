"""Runs of the pipeline for tests."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.run import run
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.settings.run import load_config


class Watcher:
    """A display that checks the accounts of every stream several times per second."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.most_in_flight = 0
        self.num_looks = 0

    def update(self, streams: Sequence[StreamState]) -> None:
        """Implement `RunDisplay.update`."""
        self.num_looks += 1
        for stream in streams:
            self.faults += stream.accounting.faults()
            self.most_in_flight = max(self.most_in_flight, stream.accounting.in_flight)


def run_pipeline(
    sources: Path | Sequence[Path],
    out: Path,
    *,
    sinks: Sequence[str] = ("masks",),
    watcher: Watcher | None = None,
    on_frame: Callable[[StreamState, Lease], None] = lambda _stream, _lease: None,
    should_stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> RunResult:
    """Run with the weights "streets" in one replica, and settings such as `pipeline__window=3`."""
    options = {key.replace("__", "."): value for key, value in settings.items()}
    defaults = {"model.weights": "streets", "output.sinks": list(sinks), "pipeline.replicas": 1}
    config = load_config(None, (), {**defaults, **options})
    paths = [sources] if isinstance(sources, Path) else sources
    return run.run_pipeline(
        config,
        [str(source) for source in paths],
        out,
        progress=watcher or Watcher(),
        should_stop=should_stop,
        on_frame=on_frame,
    )


def read_ids(path: Path) -> list[NDArray[np.uint8]]:
    """Return the class ids in a mask video."""
    with av.open(path) as file:
        return [np.asarray(f.to_ndarray(format="gray"), np.uint8) for f in file.decode(video=0)]
