"""One stream of a run, as the hub sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from icstream.pipeline.latency import Latency
from icstream.pipeline.ledger import STAGES, Lease, Ledger
from icstream.pipeline.processes import Worker
from icstream.pipeline.wire import SourceBooks, WireError
from icstream.stages import Books, FrameMeta, Gap
from icstream.stages.sinks import Part
from icstream.stages.source import SourceInfo
from icstream.stages.sources import SourceSpec

_MAX_GAPS = 1000


@dataclass(slots=True, eq=False)
class Stream:
    """What is known of one stream, and what became of it."""

    spec: SourceSpec
    start_decode: Callable[[], Worker]
    start_encode: Callable[[int | None], Worker]
    """Told how many frames are in the files already; None: the sinks look."""
    resumes: bool
    """Whether the files of an earlier run are continued."""

    books: Books = field(default_factory=Books)
    info: SourceInfo | None = None
    """None where the source could not be opened."""
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Files written, by sink."""
    gaps: list[Gap] = field(default_factory=list)
    """Pictures that are not there; the first thousand."""
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

    ledger: Ledger = field(init=False)
    wants_picture: bool = True
    num_done: int = 0
    """Frames that an earlier run wrote."""
    num_items: int = 0
    """Items that the decoder has sent, of all kinds."""
    reading: bool = False
    """Frames are coming, or have come."""
    started: float = 0.0
    num_dropped_at_source: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.name)

    @property
    def name(self) -> str:
        """Unique in the run."""
        return self.spec.name

    def faults(self) -> list[str]:
        """Gives a sentence for each book that does not close; meant for when it is over."""
        found = [*self.books.faults(), *self.ledger.faults]
        if self.books.in_flight:
            found.append(f"{self.books.in_flight} frames are still in flight")
        return found

    def begin(self, *, num_done: int) -> None:
        """Notes how many frames an earlier run wrote, before the first one comes."""
        self.num_done = num_done
        self.ledger = Ledger(self.name, num_done=num_done)

    def check_frame(self, meta: FrameMeta) -> None:
        """Looks whether a frame is the next one.

        Raises:
            WireError: it is of another stream, or its index is not the next.
        """
        due = self.ledger.num_ordered
        if meta.stream != self.name:
            raise WireError(f"a frame of {meta.stream!r} came from the decoder of {self.name!r}")
        if meta.index != due:
            raise WireError(f"frame {meta.index} came where {due} was due")

    def count_item(self, number: int, books: SourceBooks | None) -> None:
        """Counts an item from the decoder.

        Raises:
            WireError: it is not the next one.
        """
        if number != self.num_items:
            raise WireError(f"item {number} of {self.name} came where {self.num_items} was due")
        self.num_items += 1
        if books is not None:
            self.count_books(books)

    def count_books(self, source: SourceBooks) -> None:
        """Takes over the decoder's side of the books, which begins anew with every decoder."""
        books = self.books
        books.packets, books.in_decoder = source.packets, source.in_decoder
        books.decoded, books.missing = source.decoded, source.missing
        for counter, counts in (
            (books.undecodable, source.undecodable),
            (books.without_picture, source.without_picture),
        ):
            counter.clear()
            counter.update(counts)
        for reason, count in source.dropped.items():
            books.dropped[reason] += count
            self.num_dropped_at_source += count

    def note_gap(self, gap: Gap) -> None:
        """Keeps a gap for the report."""
        if len(self.gaps) < _MAX_GAPS:
            self.gaps.append(gap)

    def start(self, kind: str) -> Worker:
        """Starts a worker of its own, which goes on where a lost one stopped."""
        if kind == "decode":
            return self.start_decode()
        if self.ledger.num_ordered:
            return self.start_encode(max(self.num_done, self.ledger.num_durable))
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
