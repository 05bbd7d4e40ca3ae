"""The state of one stream of a run."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from icstream.pipeline.hub.lease_table import LeaseTable
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.source_health import SourceHealth, SourceStatus
from icstream.pipeline.hub.stream_latency import StreamLatency
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import ResumeState, SourceAccounting, WireError
from icstream.stages import FrameAccounting, FrameMeta, Gap
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.source import SourceInfo
from icstream.stages.sinks import Part

log = logging.getLogger(__name__)

_MAX_GAPS = 1000
_MAX_LOGGED = 100
"""Most failed frames of a stream that are logged one by one, as senders control their number."""


@dataclass(slots=True, eq=False)
class StreamState:
    """The state and the results of one stream."""

    spec: SourceSpec
    start_decode: Callable[[], Worker]
    start_encode: Callable[[int | None], Worker]
    """Function that starts a worker, given the number of frames in the files, or None to detect
    it."""
    resumes: bool
    """Whether the files of an earlier run are continued."""
    plan: LivePlan = field(default_factory=LivePlan)

    phase: Phase = Phase.OPENING
    started_s: float | None = None
    """Monotonic time at which its workers were started, in seconds."""
    live_since_s: float | None = None
    """Monotonic time at which the first decoder of a live source was started, in seconds."""
    wall_s: float = 0.0
    """Time from the start of its workers until it was closed, in seconds."""
    error: str | None = None
    """Reason why it ended early, or None."""
    broken: bool = False
    """Whether its workers or sinks ended it, and not its source."""

    accounting: FrameAccounting = field(default_factory=FrameAccounting)
    info: SourceInfo | None = None
    """Properties of the source; None if it could not be opened."""
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Files written, by sink."""
    gaps: list[Gap] = field(default_factory=list)
    """The first thousand missing frames."""
    latency: StreamLatency = field(default_factory=StreamLatency)

    leases: LeaseTable = field(init=False)
    source: SourceHealth = field(init=False)
    wants_image: bool = True
    """Whether a sink needs the image in addition to the mask."""
    num_done: int = 0
    """Number of frames written by an earlier run."""
    _num_logged: int = 0
    """Number of failed frames so far."""
    num_items: int = 0
    """Number of items of all kinds received from the decoder."""

    def __post_init__(self) -> None:
        self.leases = LeaseTable(self.accounting)
        self.source = SourceHealth(
            self.name, is_live=self.is_live, stall_s=self.plan.settings.stall_s
        )

    @property
    def name(self) -> str:
        """The name of the stream, which is unique in the run."""
        return self.spec.name

    @property
    def is_live(self) -> bool:
        """Whether the source may come and go, and cannot be read again."""
        return self.spec.kind == "live"

    @property
    def is_due_to_stop(self) -> bool:
        """Whether a live source has been read for its whole duration."""
        duration_s, since_s = self.plan.settings.duration_s, self.live_since_s
        if duration_s is None or since_s is None:
            return False
        return time.monotonic() - since_s > duration_s

    @property
    def source_status(self) -> SourceStatus:
        """The present status of the source."""
        return self.source.status

    def faults(self) -> list[str]:
        """Return a message for each count that does not balance once the stream is closed."""
        found = [*self.accounting.faults(), *self.leases.faults]
        if self.accounting.in_flight:
            found.append(f"{self.accounting.in_flight} frames are still in flight")
        return found

    def resume(self, num_done: int) -> None:
        """Record, before the first frame, how many frames an earlier run wrote."""
        self.num_done = num_done
        self.leases.resume(num_done)

    def check_frame(self, meta: FrameMeta) -> None:
        """Check that a frame is the next one.

        Raises:
            WireError: It belongs to another stream, or its index is not the next one.
        """
        if meta.stream != self.name:
            raise WireError(
                f"received a frame of {meta.stream!r} from the decoder of {self.name!r}"
            )
        self.check_index(meta.index)

    def check_index(self, index: int) -> None:
        """Check that an index is that of the next frame.

        Raises:
            WireError: It is not the next index.
        """
        due = self.leases.num_ordered
        if index != due:
            raise WireError(f"received frame {index} instead of {due}")

    def count_item(self, number: int, accounting: SourceAccounting | None) -> None:
        """Count an item from the decoder, and update the decoder's part of the accounting.

        Raises:
            WireError: It is not the next item.
        """
        if number != self.num_items:
            raise WireError(f"received item {number} of {self.name} instead of {self.num_items}")
        self.num_items += 1
        if accounting is not None:
            self.take_accounting(accounting)

    def take_accounting(self, source: SourceAccounting) -> None:
        """Replace the decoder's part of the accounting.

        For recordings it starts anew with every decoder; for live sources it continues.
        """
        source.write_to(self.accounting)

    def skip(self, index: int, reason: str, *, failure: str | None = None) -> None:
        """Count a frame that the decoder skipped, on purpose or because it failed."""
        self.leases.skip(index, reason, failed=failure is not None)
        if failure is not None:
            self.note_failure(index, None, reason, failure)
        self.source.note_skipped()

    def note_failure(self, index: int, pts: int | None, reason: str, detail: str) -> None:
        """Log a failed frame, up to a limit, and keep its gap for the report."""
        self._num_logged += 1
        if self._num_logged <= _MAX_LOGGED:
            log.warning("%s: frame %d failed: %s", self.name, index, detail)
        if self._num_logged == _MAX_LOGGED:
            log.warning("%s: further failed frames are counted but not logged", self.name)
        self.note_gap(Gap(self.name, index, pts, reason))

    def note_error(self, error: str | None) -> None:
        """Log and keep the first reason why the stream ends early."""
        if error and self.error is None:
            self.error = error
            log.error("%s", error)

    def note_gap(self, gap: Gap) -> None:
        """Keep a gap for the report."""
        if len(self.gaps) < _MAX_GAPS:
            self.gaps.append(gap)

    def resume_state(self) -> ResumeState:
        """Return the state that the next decoder of a live source continues from."""
        accounting = SourceAccounting.of(self.accounting).closed()
        return ResumeState(accounting, self.source.last, self.source_status.connections)
