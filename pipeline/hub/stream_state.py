"""One stream of a run, as the hub sees it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from icstream.pipeline.hub.lease_table import STAGES, Lease, LeaseTable
from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.source_health import SourceStatus
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import ResumeState, SourceAccounting, SourceChanged, WireError
from icstream.stages import FrameAccounting, FrameMeta, Gap
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.source import SourceInfo
from icstream.stages.latency import Latency
from icstream.stages.sinks import Part

log = logging.getLogger(__name__)

_MAX_GAPS = 1000


@dataclass(slots=True, eq=False)
class StreamState:
    """What is known of one stream, and what became of it."""

    spec: SourceSpec
    start_decode: Callable[[], Worker]
    start_encode: Callable[[int | None], Worker]
    """Told how many frames are in the files already; None: the sinks look."""
    resumes: bool
    """Whether the files of an earlier run are continued."""

    accounting: FrameAccounting = field(default_factory=FrameAccounting)
    info: SourceInfo | None = None
    """None where the source could not be opened."""
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Files written, by sink."""
    gaps: list[Gap] = field(default_factory=list)
    """Frames that are not there; the first thousand."""
    service: dict[str, Latency] = field(default_factory=dict)
    """How long each stage worked on a frame."""
    queueing: dict[str, Latency] = field(default_factory=dict)
    """How long a frame waited for each stage."""
    total: Latency = field(default_factory=Latency)
    """From the decoder to all sinks."""
    error: str | None = None
    """Why it ended before its end."""
    unwritable: bool = False
    """It ended because its results could not be written."""
    broken: bool = False
    """It ended because one of its workers failed again and again."""
    seconds: float = 0.0
    """Wall time from opening to closing."""
    source_status: SourceStatus = field(default_factory=SourceStatus)
    pace: LivePlan = field(default_factory=LivePlan)

    leases: LeaseTable = field(init=False)
    wants_image: bool = True
    num_done: int = 0
    """Frames that an earlier run wrote."""
    num_items: int = 0
    """Items that the decoder has sent, of all kinds."""
    reading: bool = False
    """Frames are coming, or have come."""
    started: float = 0.0
    last: tuple[Fraction, float] | None = None
    """Time of the last frame of a live source in seconds, and when it came."""

    def __post_init__(self) -> None:
        self.leases = LeaseTable(self.name)

    @property
    def name(self) -> str:
        """Unique in the run."""
        return self.spec.name

    def faults(self) -> list[str]:
        """Gives a sentence for each book that does not close; meant for when it is over."""
        found = [*self.accounting.faults(), *self.leases.faults]
        if self.accounting.in_flight:
            found.append(f"{self.accounting.in_flight} frames are still in flight")
        return found

    def begin(self, *, num_done: int) -> None:
        """Notes how many frames an earlier run wrote, before the first one comes."""
        self.num_done = num_done
        self.leases = LeaseTable(self.name, num_done=num_done)

    def check_frame(self, meta: FrameMeta) -> None:
        """Looks whether a frame is the next one.

        Raises:
            WireError: it is of another stream, or its index is not the next.
        """
        if meta.stream != self.name:
            raise WireError(f"a frame of {meta.stream!r} came from the decoder of {self.name!r}")
        self.check_index(meta.index)

    def check_index(self, index: int) -> None:
        """Looks whether an index is that of the next frame.

        Raises:
            WireError: it is not.
        """
        due = self.leases.num_ordered
        if index != due:
            raise WireError(f"frame {index} came where {due} was due")

    def count_item(self, number: int, accounting: SourceAccounting | None) -> None:
        """Counts an item from the decoder.

        Raises:
            WireError: it is not the next one.
        """
        if number != self.num_items:
            raise WireError(f"item {number} of {self.name} came where {self.num_items} was due")
        self.num_items += 1
        if accounting is not None:
            self.count_books(accounting)

    def count_books(self, source: SourceAccounting) -> None:
        """Takes over the decoder's side of the books.

        That of a recording begins anew with every decoder, that of a live source goes on.
        """
        source.write_to(self.accounting)

    def note_condition(self, condition: SourceChanged) -> None:
        """Takes note of how a live source is doing, and tells what is new."""
        error = condition.error or self.source_status.last_error
        if condition.state == "live":
            log.info("%s: connected", self.name)
        elif condition.error and (self.source_status.state, self.source_status.last_error) != (
            "connecting",
            condition.error,
        ):
            log.warning("%s: %s; connecting again", self.name, condition.error)
        self.source_status = replace(
            self.source_status.to(condition.state),
            connections=condition.connections,
            last_error=error,
        )

    def note_frame(self, meta: FrameMeta, came: float) -> None:
        """Takes note of a frame that was decoded, and of when by the monotonic clock."""
        if self.spec.kind == "live" and meta.time is not None:
            self.last = meta.time, came
        self.source_status = replace(
            self.source_status, connections=max(1, self.source_status.connections)
        )
        self._note_decoded(came)

    def watch(self) -> None:
        """Looks whether the source has fallen silent."""
        age = self.source_status.last_frame_age
        if self.spec.kind == "live" and self.source_status.state == "live" and age is not None:
            since = min(age, time.monotonic() - self.source_status.since)
            if since > self.pace.settings.stall_s:
                self.source_status = self.source_status.to("stalled")

    def before(self) -> ResumeState:
        """Gives what the next decoder of a live source must know."""
        accounting = SourceAccounting.of(self.accounting).closed()
        return ResumeState(accounting, self.last, self.source_status.connections)

    def skip(self, index: int, reason: str) -> None:
        """Counts a frame that left the decoder and goes no further."""
        self.accounting.dropped[reason] += 1
        self.leases.skip(index)
        self._note_decoded(time.monotonic())

    def _note_decoded(self, moment: float) -> None:
        """Takes note of when a frame was decoded.

        That of a live source may arrive after its decoder has said that the connection is lost.
        """
        source_status = self.source_status
        if self.spec.kind != "live" or source_status.state == "stalled":
            source_status = source_status.to("live")
        self.source_status = replace(source_status, last_frame=moment)

    def note_gap(self, gap: Gap) -> None:
        """Keeps a gap for the report."""
        if len(self.gaps) < _MAX_GAPS:
            self.gaps.append(gap)

    def start(self, kind: str) -> Worker:
        """Starts a worker of its own, which goes on where a lost one stopped."""
        if kind == "decode":
            return self.start_decode()
        if self.leases.num_ordered:
            return self.start_encode(max(self.num_done, self.leases.num_durable))
        return self.start_encode(None if self.resumes else 0)

    def count_times(self, lease: Lease) -> None:
        """Counts how long a frame took, once it is through."""
        served = lease.served
        if lease.done_before or len(served) <= len(STAGES):
            return
        before = served["decode"]
        self.service.setdefault("decode", Latency()).add(before.stop - before.start)
        for stage in STAGES:
            own = served[stage]
            self.queueing.setdefault(stage, Latency()).add(own.start - before.stop)
            self.service.setdefault(stage, Latency()).add(own.stop - own.start)
            before = own
        self.total.add(before.stop - served["decode"].stop)
