"""The order in which frames go to the encode worker, and the frames that are durable."""

from collections import deque

from icstream.pipeline.hub.index_ranges import IndexRanges
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.wire.messages import PartRun
from icstream.stages import FrameMeta


class WriteOrder:
    """Passes frames to the encode worker in the decoder's order, and detects missing ones.

    Attributes:
        at_writer: Frames that the encode worker has, in order.
        faults: A message for each frame that vanished.
    """

    def __init__(self) -> None:
        self.at_writer: deque[Lease] = deque()
        self.faults: list[str] = []
        self._ahead: deque[Lease] = deque()
        """Frames that the encode worker does not have yet, in order."""
        self._out = IndexRanges()
        """Indices after the last durable frame whose frames were removed."""
        self._next_index = 0
        self._section = 0
        """Section of the last frame that the encode worker got."""
        self._durable_section = 0
        """Section of the last durable frame."""

    @property
    def num_unwritten(self) -> int:
        """The number of frames that the encode worker has not yet written to all sinks."""
        return sum("encode" not in lease.served for lease in self.at_writer)

    @property
    def first_unwritten(self) -> Lease | None:
        """The frame that the encode worker is writing, or None."""
        return next((lease for lease in self.at_writer if "encode" not in lease.served), None)

    def add(self, lease: Lease) -> None:
        """Add the next frame from the decoder."""
        self._ahead.append(lease)

    def leave_out(self, index: int) -> None:
        """Record that a frame was removed, so that it is not waited for."""
        self._out.add(index)
        self._pass_over()

    def remove(self, lease: Lease) -> None:
        """Remove a frame, wherever it is."""
        if lease in self.at_writer:
            self.at_writer.remove(lease)
        elif lease in self._ahead:
            self._ahead.remove(lease)
        self.leave_out(lease.meta.index)

    def next(self) -> tuple[Lease, bool] | None:
        """Return the next frame for the encode worker, and whether it begins a part.

        Returns None if the next frame is not ready.
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
        """Return the encode worker's first frame, which has become durable."""
        lease = self.at_writer.popleft()
        self._out.remove_below(lease.meta.index + 1)
        self._pass_over()
        self._durable_section = lease.section
        return lease

    def put_back(self) -> list[Lease]:
        """Put back, in order, the frames of a lost encode worker, and return them."""
        leases = list(self.at_writer)
        self._ahead.extendleft(reversed(leases))
        self.at_writer.clear()
        self._section = self._durable_section
        if leases:
            self._next_index = leases[0].meta.index
        return leases

    def expect(self, index: int) -> None:
        """Record as faults the frames before this one that were never removed."""
        for missed in self._out.missing(self._next_index, index):
            self.faults.append(f"frame {missed} vanished in transit")
        self._next_index = max(self._next_index, index)

    def _pass_over(self) -> None:
        """Discard the indices of removed frames that are no longer needed."""
        if not self.at_writer:
            self._next_index = self._out.end(self._next_index)
            self._out.remove_below(self._next_index)


class DurableFrames:
    """The frames that are durable in every sink's files, by part.

    Attributes:
        runs: Runs of consecutive frames in one part.
        last: The last durable frame.
        count: Number of durable frames.
    """

    def __init__(self) -> None:
        self.runs: list[PartRun] = []
        self.last: FrameMeta | None = None
        self.count = 0
        self._part = -1

    def add(self, meta: FrameMeta, part: int) -> None:
        """Add the next durable frame, with the number of its part."""
        self.last = meta
        self.count += 1
        if part == self._part:
            run = self.runs[-1]
            self.runs[-1] = PartRun(run.first, run.num_frames + 1)
        else:
            self.runs.append(PartRun(meta, 1))
            self._part = part
