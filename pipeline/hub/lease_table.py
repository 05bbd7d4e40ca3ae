"""The leases of one stream, which record its frames in flight and their stages.

The table is independent of sockets and processes. A frame is leased from the moment it leaves the
decoder until it is durable in every sink's files. If a process that works on it is lost, the frame
can be handed out again, because all inputs of its present stage are kept with the lease.
"""

from collections.abc import Iterator
from typing import Any

from icstream.model import Geometry
from icstream.pipeline.hub.lease import Lease, LeaseState
from icstream.pipeline.hub.losses import Losses
from icstream.pipeline.hub.stage_counts import STAGES, FrameCounts, StageCounts
from icstream.pipeline.hub.write_order import DurableFrames, WriteOrder
from icstream.pipeline.wire.messages import Pixels, Slot, StageSpan
from icstream.stages import FrameAccounting, FrameMeta

Arrays = dict[str, tuple[Pixels, Any]]
"""Arrays of a frame, as in `Lease.arrays`."""


class LeaseTable:
    """The leases of one stream.

    Attributes:
        order: The order in which frames are written.
        durable: The frames that are durable.
        num_ordered: Number of frames received from the decoder.
    """

    def __init__(self, accounting: FrameAccounting) -> None:
        """Start empty, counting frames in flight, failed and dropped in `accounting`."""
        self.durable = DurableFrames()
        self.num_ordered = 0
        self._counts = FrameCounts(accounting)
        self.order = WriteOrder()
        self._leases: dict[int, Lease] = {}
        self._faults: list[str] = []
        self._num_done = 0
        """Number of frames written by an earlier run."""
        self._section = 0
        """Number of format changes so far."""

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over a snapshot of the leases, in the order of their frames."""
        return iter(list(self._leases.values()))

    def get(self, index: int) -> Lease | None:
        """Return the lease of a frame, or None."""
        return self._leases.get(index)

    @property
    def stage_counts(self) -> dict[str, StageCounts]:
        """The counts of each stage."""
        return self._counts.stages

    @property
    def faults(self) -> list[str]:
        """A message for each frame that no count covers, which is a defect of icstream."""
        return [*self.order.faults, *self._faults]

    def resume(self, num_done: int) -> None:
        """Record, before the first frame, how many frames an earlier run wrote."""
        assert not self.num_ordered
        self._num_done = num_done

    def begin_section(self) -> None:
        """Record that the next frame from the decoder has another format."""
        self._section += 1

    def open(
        self,
        meta: FrameMeta,
        slot: Slot,
        served: StageSpan,
        *,
        arrays: Arrays | None = None,
        geometry: Geometry | None = None,
    ) -> Lease:
        """Return a new lease for a frame from the decoder.

        With a geometry, the frame's canvas already is the network's input.
        """
        lease = Lease(meta, slot, self._section)
        lease.served["decode"] = served
        lease.arrays.update(arrays or {})
        lease.done_before = self.num_ordered < self._num_done
        self.num_ordered += 1
        self._leases[meta.index] = lease
        self.order.add(lease)
        if lease.done_before:
            lease.stage = STAGES[-1]
        self._counts.open(lease.stage)
        if geometry is not None and not lease.done_before:
            lease.geometry = geometry
            lease.served["preprocess"] = StageSpan(served.stop, served.stop)
            self._advance(lease)
        return lease

    def skip(self, index: int, reason: str, *, failed: bool = False) -> None:
        """Count a frame that the decoder skipped, on purpose or because it failed."""
        self._counts.skip(reason, failed=failed)
        self.num_ordered += 1
        self.order.leave_out(index)

    def hold(self, lease: Lease) -> None:
        """Record that a worker of its stage has the frame."""
        lease.state = LeaseState.HELD

    def finish(
        self,
        lease: Lease,
        *,
        arrays: Arrays,
        geometry: Geometry,
        served: StageSpan,
        keep_image: bool,
    ) -> None:
        """Move a frame to the next stage, with the results of the present one."""
        lease.arrays.update(arrays)
        lease.geometry = geometry
        lease.served[lease.stage] = served
        # Arrays that no later stage needs are not kept.
        if lease.stage == "segment":
            lease.arrays.pop("prepared", None)
        if not keep_image:
            lease.arrays.pop("image", None)
            lease.arrays.pop("canvas", None)
        self._advance(lease)

    def fail(self, lease: Lease, reason: str) -> None:
        """Remove a frame that a stage could not process."""
        self._counts.fail(lease.stage, reason)
        self._take_out(lease, LeaseState.OUT)

    def drop(self, lease: Lease, reason: str) -> None:
        """Drop a frame; a worker may still use its slot."""
        self._counts.drop(lease.stage, reason)
        is_held = lease.state is LeaseState.HELD
        self._take_out(lease, LeaseState.ABANDONED if is_held else LeaseState.OUT)

    def note_returned(self, lease: Lease) -> None:
        """Record that no worker uses the slot of an abandoned frame any more."""
        lease.state = LeaseState.OUT

    def note_vanished(self, lease: Lease) -> None:
        """Remove a frame that no worker has, so that others continue; the counts will not match."""
        self._faults.append(f"frame {lease.meta.index} vanished in {lease.stage}")
        lease.state = LeaseState.OUT
        self.order.remove(lease)
        del self._leases[lease.meta.index]

    def hand_out_again(self, lease: Lease) -> None:
        """Make a frame wait again after its worker was lost."""
        self.stage_counts[lease.stage].retry()
        lease.served.pop(lease.stage, None)
        lease.state = LeaseState.WAITING

    def next_to_write(self) -> Lease | None:
        """Return the next frame for the encode worker, or None if it is not ready."""
        if (found := self.order.next()) is None:
            return None
        lease, begins_part = found
        lease.begins_part, lease.state = begins_part, LeaseState.HELD
        return lease

    def all_at_writer(self) -> bool:
        """Return whether the encode worker has every frame in flight."""
        return len(self._leases) == len(self.order.at_writer)

    def mark_written(self, index: int, part: int, served: StageSpan) -> None:
        """Record that all sinks have a frame, and the number of its part."""
        lease = self._leases.get(index)
        if lease is not None:
            lease.part = part
            lease.served["encode"] = served

    def release(self, num_durable: int) -> list[Lease]:
        """Close and return the leases of the first `num_durable` frames, which are durable."""
        released = []
        while self.durable.count < num_durable and self.order.at_writer:
            lease = self.order.release()
            self._counts.finish()
            self.durable.add(lease.meta, lease.part)
            self._close(lease, LeaseState.OUT)
            released.append(lease)
        return released

    def take_from_writer(self, num_done: int) -> None:
        """Put back, in order, the frames of a lost encode worker.

        The first `num_done` frames of the stream are complete in the files and are only counted.
        """
        for ordinal, lease in enumerate(self.order.put_back(), start=self.durable.count):
            self.hand_out_again(lease)
            lease.done_before = ordinal < num_done

    def close(self, num_decoded: int) -> None:
        """Compare the counts of all stages after the last frame."""
        self.order.expect(num_decoded)
        self._faults += self._counts.find_imbalances(
            num_decoded=num_decoded, num_done_before=min(self._num_done, num_decoded)
        )

    def _advance(self, lease: Lease) -> None:
        stage = STAGES[STAGES.index(lease.stage) + 1]
        self._counts.advance(lease.stage, stage)
        lease.stage, lease.state, lease.losses = stage, LeaseState.WAITING, Losses()

    def _take_out(self, lease: Lease, state: LeaseState) -> None:
        self.order.remove(lease)
        lease.arrays.clear()
        self._close(lease, state)

    def _close(self, lease: Lease, state: LeaseState) -> None:
        lease.state = state
        del self._leases[lease.meta.index]
