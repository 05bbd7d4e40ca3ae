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
"""Failed frames of a stream that are logged one by one: whoever sends them chooses how many."""


@dataclass(slots=True, eq=False)
class StreamState:
    """What is known of one stream, and what became of it."""

    spec: SourceSpec
    start_decode: Callable[[], Worker]
    start_encode: Callable[[int | None], Worker]
    """Starts a worker, given how many frames are in the files; None: the sinks find out."""
    resumes: bool
    """Whether the files of an earlier run are continued."""
    plan: LivePlan = field(default_factory=LivePlan)

    phase: Phase = Phase.OPENING
    started_s: float | None = None
    """When its workers were started, by the monotonic clock."""
    live_since_s: float | None = None
    """When the first decoder of a live source was asked to begin, by the monotonic clock."""
    wall_s: float = 0.0
    """Time from then until it was closed."""
    error: str | None = None
    """Why it ended before its end."""
    broken: bool = False
    """Whether it was ended by its workers or its sinks, and not by its source."""

    accounting: FrameAccounting = field(default_factory=FrameAccounting)
    info: SourceInfo | None = None
    """None where the source could not be opened."""
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Files written, by sink."""
    gaps: list[Gap] = field(default_factory=list)
    """The first thousand frames that are not there."""
    latency: StreamLatency = field(default_factory=StreamLatency)

    leases: LeaseTable = field(init=False)
    source: SourceHealth = field(init=False)
    wants_image: bool = True
    """Whether a sink needs the frame besides its mask."""
    num_done: int = 0
    """Frames that an earlier run wrote."""
    _num_logged: int = 0
    """Failed frames so far."""
    num_items: int = 0
    """Items that the decoder has sent, of all kinds."""

    def __post_init__(self) -> None:
        self.leases = LeaseTable(self.accounting)
        self.source = SourceHealth(
            self.name, is_live=self.is_live, stall_s=self.plan.settings.stall_s
        )

    @property
    def name(self) -> str:
        """A name that no other stream of the run has."""
        return self.spec.name

    @property
    def is_live(self) -> bool:
        """Whether its source may come and go, and cannot be read again."""
        return self.spec.kind == "live"

    @property
    def is_due_to_stop(self) -> bool:
        """Whether a live source has been read for as long as it should be."""
        duration_s, since_s = self.plan.settings.duration_s, self.live_since_s
        if duration_s is None or since_s is None:
            return False
        return time.monotonic() - since_s > duration_s

    @property
    def source_status(self) -> SourceStatus:
        """How its source is doing."""
        return self.source.status

    def faults(self) -> list[str]:
        """Return a sentence for each account that does not balance once the stream is closed."""
        found = [*self.accounting.faults(), *self.leases.faults]
        if self.accounting.in_flight:
            found.append(f"{self.accounting.in_flight} frames are still in flight")
        return found

    def resume(self, num_done: int) -> None:
        """Note how many frames an earlier run wrote, before the first one comes."""
        self.num_done = num_done
        self.leases.resume(num_done)

    def check_frame(self, meta: FrameMeta) -> None:
        """Check that a frame is the next one.

        Raises:
            WireError: It is of another stream, or its index is not the next.
        """
        if meta.stream != self.name:
            raise WireError(f"a frame of {meta.stream!r} came from the decoder of {self.name!r}")
        self.check_index(meta.index)

    def check_index(self, index: int) -> None:
        """Check that an index is that of the next frame.

        Raises:
            WireError: It is not.
        """
        due = self.leases.num_ordered
        if index != due:
            raise WireError(f"frame {index} came where {due} was due")

    def count_item(self, number: int, accounting: SourceAccounting | None) -> None:
        """Count an item from the decoder, and take over the decoder's accounting as of it.

        Raises:
            WireError: It is not the item that is due.
        """
        if number != self.num_items:
            raise WireError(f"item {number} of {self.name} came where {self.num_items} was due")
        self.num_items += 1
        if accounting is not None:
            self.take_accounting(accounting)

    def take_accounting(self, source: SourceAccounting) -> None:
        """Take over the decoder's side of the accounting.

        That of a recording begins anew with every decoder, that of a live source goes on.
        """
        source.write_to(self.accounting)

    def skip(self, index: int, reason: str, *, failure: str | None = None) -> None:
        """Count a frame that left the decoder and goes no further, on purpose or as it failed."""
        self.leases.skip(index, reason, failed=failure is not None)
        if failure is not None:
            self.note_failure(index, None, reason, failure)
        self.source.note_skipped()

    def note_failure(self, index: int, pts: int | None, reason: str, detail: str) -> None:
        """Log that a frame failed, unless very many did, and keep its gap for the report."""
        self._num_logged += 1
        if self._num_logged <= _MAX_LOGGED:
            log.warning("%s: frame %d failed: %s", self.name, index, detail)
        if self._num_logged == _MAX_LOGGED:
            log.warning("%s: further failed frames are counted and not logged", self.name)
        self.note_gap(Gap(self.name, index, pts, reason))

    def note_error(self, error: str | None) -> None:
        """Keep the first reason why the stream ends before its end, and log it."""
        if error and self.error is None:
            self.error = error
            log.error("%s", error)

    def note_gap(self, gap: Gap) -> None:
        """Keep a gap for the report."""
        if len(self.gaps) < _MAX_GAPS:
            self.gaps.append(gap)

    def resume_state(self) -> ResumeState:
        """Return what the next decoder of a live source must know."""
        accounting = SourceAccounting.of(self.accounting).closed()
        return ResumeState(accounting, self.source.last, self.source_status.connections)
