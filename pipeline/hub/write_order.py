"""The order in which frames go to the encode worker, and what has become durable."""

from collections import deque

from icstream.pipeline.hub.index_ranges import IndexRanges
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.wire.messages import PartRun
from icstream.stages import FrameMeta


class WriteOrder:
    """Hands frames to the encode worker in the order of the decoder, and misses none.

    Attributes:
        at_writer: Frames that the encode worker has, in order.
        faults: A sentence for each frame that is gone without a trace.
    """

    def __init__(self) -> None:
        self.at_writer: deque[Lease] = deque()
        self.faults: list[str] = []
        self._ahead: deque[Lease] = deque()
        """Frames that the encode worker does not have yet, in order."""
        self._out = IndexRanges()
        """Frames behind the last durable one that go no further."""
        self._next_index = 0
        self._section = 0
        """Of the last frame that the encode worker got."""
        self._durable_section = 0
        """Of the last durable frame."""

    @property
    def num_unwritten(self) -> int:
        """Frames that the encode worker has and has not handed to all sinks."""
        return sum("encode" not in lease.served for lease in self.at_writer)

    @property
    def first_unwritten(self) -> Lease | None:
        """The frame that the encode worker is at; None if it has handed all to all sinks."""
        return next((lease for lease in self.at_writer if "encode" not in lease.served), None)

    def add(self, lease: Lease) -> None:
        """Note the next frame from the decoder."""
        self._ahead.append(lease)

    def leave_out(self, index: int) -> None:
        """Note that a frame goes no further, so that none is waited for."""
        self._out.add(index)
        self._pass_over()

    def remove(self, lease: Lease) -> None:
        """Take out a frame that goes no further, wherever it is."""
        if lease in self.at_writer:
            self.at_writer.remove(lease)
        elif lease in self._ahead:
            self._ahead.remove(lease)
        self.leave_out(lease.meta.index)

    def next(self) -> tuple[Lease, bool] | None:
        """Return the frame that the encode worker gets now, and whether it begins a part.

        None if the next one is not ready.
        """
        if not self._ahead:
            return None
        lease = self._ahead[0]
        self.expect(lease.meta.index)
        if lease.stage != "encode":
            return None
        self._ahead.popleft()
        self.at_writer.append(lease)
        self._next_index = lease.meta.index + 1
        begins_part = lease.section != self._section
        self._section = lease.section
        return lease, begins_part

    def release(self) -> Lease:
        """Return the first frame that the encode worker has: it is durable now."""
        lease = self.at_writer.popleft()
        self._out.remove_below(lease.meta.index + 1)
        self._pass_over()
        self._durable_section = lease.section
        return lease

    def put_back(self) -> list[Lease]:
        """Put back, in order, what a lost encode worker had; return it."""
        leases = list(self.at_writer)
        self._ahead.extendleft(reversed(leases))
        self.at_writer.clear()
        self._section = self._durable_section
        if leases:
            self._next_index = leases[0].meta.index
        return leases

    def expect(self, index: int) -> None:
        """Note as faults the frames before this one that were not seen to go."""
        for missed in self._out.missing(self._next_index, index):
            self.faults.append(f"frame {missed} vanished on its way")
        self._next_index = max(self._next_index, index)

    def _pass_over(self) -> None:
        """Forget the frames that go no further and that no encode worker will be behind again."""
        if not self.at_writer:
            self._next_index = self._out.end(self._next_index)
            self._out.remove_below(self._next_index)


class DurableFrames:
    """The frames that are durable in every sink's files, part by part.

    Attributes:
        runs: Frames that follow one another in one part.
        last: The last durable frame.
        count: Durable frames so far.
    """

    def __init__(self) -> None:
        self.runs: list[PartRun] = []
        self.last: FrameMeta | None = None
        self.count = 0
        self._part = -1

    def add(self, meta: FrameMeta, part: int) -> None:
        """Note the next durable frame, and the number of its part."""
        self.last = meta
        self.count += 1
        if part == self._part:
            run = self.runs[-1]
            self.runs[-1] = PartRun(run.first, run.num_frames + 1)
        else:
            self.runs.append(PartRun(meta, 1))
            self._part = part
