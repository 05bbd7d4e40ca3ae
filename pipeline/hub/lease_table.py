"""The book of leases of one stream: which frames are under way, where, and in what order.

It knows nothing of sockets and processes. A frame is leased from the moment it leaves the decoder
until it is durable in every sink's files; whatever happens to the process that works on it, it can
be handed out again, because all that went into its present stage is kept with the lease.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from icstream.model import Geometry
from icstream.pipeline.hub.stage_counts import StageCounts
from icstream.pipeline.wire.messages import PartRun, Pixels, Slot, StageSpan
from icstream.stages import FrameMeta

STAGES = ("preprocess", "segment", "encode")
"""The stages behind the decoder, in order."""


class LeaseState(Enum):
    """Where a leased frame is."""

    WAITING = "waiting"
    """For a worker of its stage."""
    HELD = "held"
    """By a worker of its stage."""
    OUT = "out"
    """It failed or was dropped; it goes no further."""


@dataclass(slots=True, eq=False)
class Lease:
    """A frame under way."""

    meta: FrameMeta
    slot: Slot
    stage: str
    """Where it is, or waits for."""
    at: LeaseState = LeaseState.WAITING
    begins_part: bool = False
    done_before: bool = False
    """An earlier run wrote it: only the order matters."""
    geometry: Geometry | None = None
    arrays: dict[str, tuple[Pixels, Any]] = field(default_factory=dict)
    """By field: where it lies, and the message that holds it if it is not in shared memory."""
    served: dict[str, StageSpan] = field(default_factory=dict)
    """By stage."""
    part: int = 0
    abandoned: bool = False
    """It is out, but a worker may still be using its slot."""
    num_crashes: int = 0
    """Processes that ended on their own while they had it."""

    def room(self) -> tuple[int, int]:
        """Gives the part of the slot that no array lies in."""
        used = [p.offset + p.num_bytes for p, _ in self.arrays.values() if p.offset is not None]
        return max([self.slot.start, *used]), self.slot.stop


class LeaseTable:
    """The leases of one stream."""

    def __init__(self, stream: str, *, num_done: int = 0) -> None:
        """Begins empty.

        Args:
            stream: its name.
            num_done: the first frames were written by an earlier run.
        """
        self.stream = stream
        self.stage_counts = {stage: StageCounts() for stage in STAGES}
        self.runs: list[PartRun] = []
        """The durable frames, part by part."""
        self.last_durable: FrameMeta | None = None
        self.num_durable = 0
        self.faults: list[str] = []
        """Frames that are in no book: a fault of icstream."""
        self._num_done = num_done
        self._leases: dict[int, Lease] = {}
        self._to_write: deque[Lease] = deque()
        """Not yet with the encode worker, in order."""
        self._written: deque[Lease] = deque()
        """With the encode worker, in order."""
        self._out: set[int] = set()
        """Frames behind the last durable one that failed or were dropped."""
        self._next_index = 0
        self.num_ordered = 0
        """Frames that came from the decoder."""
        self.num_skipped = 0
        """Those among them that no stage got."""
        self._begins_part = False
        self._last_part = -1

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """Gives the leases in the order of their frames."""
        return iter(list(self._leases.values()))

    def get(self, index: int) -> Lease | None:
        """Gives the lease of a frame; None if it has none."""
        return self._leases.get(index)

    def begin_part(self) -> None:
        """Makes the next frame that comes the first of a part."""
        self._begins_part = True

    def open(self, meta: FrameMeta, slot: Slot, served: StageSpan) -> Lease:
        """Takes a frame from the decoder."""
        lease = Lease(meta, slot, STAGES[0], begins_part=self._begins_part)
        self._begins_part = False
        lease.served["decode"] = served
        lease.done_before = self.num_ordered < self._num_done
        self.num_ordered += 1
        self._leases[meta.index] = lease
        self._to_write.append(lease)
        if lease.done_before:
            lease.stage = STAGES[-1]
        self._enter(lease)
        return lease

    def skip(self, index: int) -> None:
        """Notes that a frame left the decoder and goes no further."""
        self.num_ordered += 1
        self.num_skipped += 1
        self._out.add(index)

    def advance(self, lease: Lease) -> None:
        """Takes a frame to its next stage."""
        hop = self.stage_counts[lease.stage]
        hop.finished += 1
        hop.in_flight -= 1
        lease.stage = STAGES[STAGES.index(lease.stage) + 1]
        lease.at = LeaseState.WAITING
        self._enter(lease)

    def fail(self, lease: Lease) -> None:
        """Takes a frame out that a stage could not process."""
        self.stage_counts[lease.stage].failed += 1
        self._take_out(lease)

    def drop(self, lease: Lease) -> None:
        """Takes a frame out on purpose."""
        self.stage_counts[lease.stage].dropped += 1
        self._take_out(lease)

    def note_vanished(self, lease: Lease) -> None:
        """Gives up a frame that nobody has, so that the others can go on: the books will tell."""
        self.faults.append(f"frame {lease.meta.index} vanished in {lease.stage}")
        lease.at = LeaseState.OUT
        self._out.add(lease.meta.index)
        del self._leases[lease.meta.index]

    def hand_out_again(self, lease: Lease) -> None:
        """Puts a frame back whose worker was lost."""
        self.stage_counts[lease.stage].retried += 1
        lease.at = LeaseState.WAITING

    def next_to_write(self) -> Lease | None:
        """Gives the frame that the encode worker must get next, if it is ready; it is held then."""
        while self._to_write:
            lease = self._to_write[0]
            self._note_vanished(lease.meta.index)
            if lease.at is LeaseState.OUT:
                self._to_write.popleft()
                if lease.begins_part:
                    self._pass_on_part()
                continue
            if lease.stage != "encode":
                return None
            self._next_index = lease.meta.index + 1
            self._to_write.popleft()
            lease.at = LeaseState.HELD
            self._written.append(lease)
            return lease
        return None

    def all_at_writer(self) -> bool:
        """True if the encode worker has every frame that is under way."""
        return len(self._leases) == len(self._written)

    @property
    def num_unwritten(self) -> int:
        """Frames that the encode worker has and has not handed to all sinks."""
        return sum("encode" not in lease.served for lease in self._written)

    def is_stuck(self, window: int) -> bool:
        """True if all frames that may be in flight lie in the sinks, so that none can follow.

        A sink gives frames free as others come after them.
        """
        return len(self) >= window and self.all_at_writer() and not self.num_unwritten

    def mark_written(self, index: int, part: int) -> Lease | None:
        """Notes that all sinks have a frame; gives its lease."""
        lease = self._leases.get(index)
        if lease is not None:
            lease.part = part
        return lease

    def release(self, num_durable: int) -> list[Lease]:
        """Closes the leases of the first frames, which are durable now; gives them."""
        released = []
        while self.num_durable < num_durable and self._written:
            lease = self._written.popleft()
            del self._leases[lease.meta.index]
            hop = self.stage_counts["encode"]
            hop.finished += 1
            hop.in_flight -= 1
            self.num_durable += 1
            self.last_durable = lease.meta
            self._out = {index for index in self._out if index > lease.meta.index}
            self._add_to_run(lease)
            released.append(lease)
        return released

    def take_from_writer(self, num_done: int) -> list[Lease]:
        """Puts back, in order, what a lost encode worker had.

        Args:
            num_done: frames that are whole in every sink's files; those that are not released yet
                need only be counted again.
        """
        retried = list(self._written)
        for ordinal, lease in enumerate(retried, start=self.num_durable):
            self.hand_out_again(lease)
            lease.done_before = ordinal < num_done
        self._to_write.extendleft(reversed(retried))
        self._written.clear()
        if retried:
            self._next_index = retried[0].meta.index
        return retried

    def close(self, num_decoded: int) -> None:
        """Compares the books of all stages, now that the last frame is through."""
        self._note_vanished(num_decoded)
        num_past = min(self._num_done, num_decoded)
        due = num_decoded - num_past - self.num_skipped
        for stage, hop in self.stage_counts.items():
            if stage == "encode":
                due += num_past  # these went past the other stages
            if hop.received != due:
                self.faults.append(f"{stage} received {hop.received} frames of {due}")
            gone = hop.finished + hop.failed + hop.dropped + hop.in_flight
            if hop.received != gone:
                self.faults.append(
                    f"{stage} received {hop.received} frames != finished {hop.finished}"
                    f" + failed {hop.failed} + dropped {hop.dropped} + in flight {hop.in_flight}"
                )
            if hop.in_flight:
                self.faults.append(f"{stage} still has {hop.in_flight} frames in flight")
            due = hop.finished

    def _enter(self, lease: Lease) -> None:
        hop = self.stage_counts[lease.stage]
        hop.received += 1
        hop.in_flight += 1

    def _take_out(self, lease: Lease) -> None:
        self.stage_counts[lease.stage].in_flight -= 1
        lease.at = LeaseState.OUT
        self._out.add(lease.meta.index)
        lease.arrays.clear()
        del self._leases[lease.meta.index]
        if lease in self._written:
            self._written.remove(lease)

    def _pass_on_part(self) -> None:
        if self._to_write:
            self._to_write[0].begins_part = True
        else:
            self._begins_part = True

    def _note_vanished(self, index: int) -> None:
        """Looks whether all frames before this one were seen to go."""
        for lost in range(self._next_index, index):
            if lost not in self._out:
                self.faults.append(f"frame {lost} vanished on its way")
        self._next_index = max(self._next_index, index)

    def _add_to_run(self, lease: Lease) -> None:
        if lease.part != self._last_part or not self.runs:
            self.runs.append(PartRun(lease.meta, 1))
            self._last_part = lease.part
        else:
            self.runs[-1] = PartRun(self.runs[-1].first, self.runs[-1].num_frames + 1)


def held_back(stream: str, window: int) -> str:
    """Gives the error of a stream that is stuck."""
    return (
        f"{stream}: a sink holds back the last {window} frames, and no more may be in flight;"
        " pipeline.window must be larger"
    )
