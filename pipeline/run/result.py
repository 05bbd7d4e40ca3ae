"""What became of a run."""

from dataclasses import dataclass

from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.plan.inference import Inference
from icstream.pipeline.settings.run import RunConfig


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of a run, with the final state of each stream."""

    config: RunConfig
    inference: Inference
    streams: list[StreamState]
    transport: str
    num_restarts: int
    """Workers that were replaced."""
    error: str | None
    """Why the run was abandoned; None if it was not."""

    @property
    def exit_code(self) -> int:
        """0: done; 1: failed, or accounts do not balance; 2: no frame at all; 3: frames lost."""
        failed = any(stream.broken or stream.faults() for stream in self.streams)
        if failed or self.error:
            return 1
        if not any(stream.accounting.decoded for stream in self.streams):
            return 2
        if any(stream.error or not stream.accounting.complete for stream in self.streams):
            return 3
        return 0
