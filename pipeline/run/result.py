"""The result of a run."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.plan.inference import Inference
from icstream.pipeline.plan.streams import LeftOutFiles
from icstream.pipeline.settings.run import RunConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run, with the final state of each stream."""

    config: RunConfig
    inference: Inference
    streams: list[StreamState]
    transport: str
    num_restarts: int
    """Number of workers that were replaced."""
    error: str | None
    """Reason why the run was aborted, or None."""
    left_out: list[LeftOutFiles] = field(default_factory=list)
    """Files in source folders that belong to no stream."""

    @property
    def exit_code(self) -> int:
        """The exit code: 0 done, 1 failed or unbalanced, 2 no frame decoded, 3 frames lost."""
        failed = any(stream.broken or stream.faults() for stream in self.streams)
        if failed or self.error:
            return 1
        if not any(stream.accounting.decoded for stream in self.streams):
            return 2
        if any(stream.error or not stream.accounting.complete for stream in self.streams):
            return 3
        return 0


def explain_empty_streams(streams: Sequence[StreamState], *, stopped: bool) -> None:
    """Set an error for each stream without frames, unless it was stopped before it had one."""
    for stream in streams:
        if stream.error is None:
            stream.error = _why_empty(stream, stopped=stopped)
            if stream.error:
                log.error("%s", stream.error)


def _why_empty(stream: StreamState, *, stopped: bool) -> str | None:
    """Return why nothing of a stream was written, or None if there is no error."""
    accounting = stream.accounting
    if not accounting.decoded:
        reason = stream.source_status.last_error
        if reason or not stopped:
            return reason or f"{stream.spec.given}: no frame could be decoded"
        return None
    reasons = [reason for reason in accounting.dropped if reason != "stopped"]
    if accounting.encoded or not reasons:
        return None
    lost = ", ".join([*reasons, *accounting.failed])
    return f"{stream.spec.given}: none of the {accounting.decoded} frames was written ({lost})"
