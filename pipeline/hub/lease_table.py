"""The leases of one stream: which frames are under way, and where.

The table knows nothing of sockets and processes. A frame is leased from the moment it leaves the
decoder until it is durable in every sink's files. Whatever happens to the process that works on it,
it can be handed out again, because all that went into its present stage is kept with the lease.
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
"""See `Lease.arrays`."""


class LeaseTable:
    """The leases of one stream.

    Attributes:
        order: The order in which they are written.
        durable: The frames that are through.
        num_ordered: Frames that came from the decoder.
    """

    def __init__(self, accounting: FrameAccounting) -> None:
        """Begin empty; frames in flight, failed and dropped are counted in `accounting`."""
        self.durable = DurableFrames()
        self.num_ordered = 0
        self._counts = FrameCounts(accounting)
        self.order = WriteOrder()
        self._leases: dict[int, Lease] = {}
        self._faults: list[str] = []
        self._num_done = 0
        """Frames that an earlier run wrote."""
        self._section = 0
        """How often the format has changed."""

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """Return the leases in the order of their frames, as they are now."""
        return iter(list(self._leases.values()))

    def get(self, index: int) -> Lease | None:
        """Return the lease of a frame; None if it has none."""
        return self._leases.get(index)

    @property
    def stage_counts(self) -> dict[str, StageCounts]:
        """What each stage had to do with the frames."""
        return self._counts.stages

    @property
    def faults(self) -> list[str]:
        """A sentence for each frame that no count accounts for, which is a fault of icstream."""
        return [*self.order.faults, *self._faults]

    def resume(self, num_done: int) -> None:
        """Note, before the first frame comes, that an earlier run wrote the first frames."""
        assert not self.num_ordered
        self._num_done = num_done

    def begin_section(self) -> None:
        """Note that the next frame from the decoder has another format."""
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
        """Return the lease of a frame that comes from the decoder.

        A geometry says that its canvas is the network's input already.
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
        """Count a frame that left the decoder and goes no further, on purpose or as it failed."""
        self._counts.skip(reason, failed=failed)
        self.num_ordered += 1
        self.order.leave_out(index)

    def hold(self, lease: Lease) -> None:
        """Note that a worker of its stage has the frame."""
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
        """Take a frame, with what a stage made of it, to the next stage."""
        lease.arrays.update(arrays)
        lease.geometry = geometry
        lease.served[lease.stage] = served
        # What no later stage needs is not kept.
        if lease.stage == "segment":
            lease.arrays.pop("prepared", None)
        if not keep_image:
            lease.arrays.pop("image", None)
            lease.arrays.pop("canvas", None)
        self._advance(lease)

    def fail(self, lease: Lease, reason: str) -> None:
        """Take out a frame that a stage could not process."""
        self._counts.fail(lease.stage, reason)
        self._take_out(lease, LeaseState.OUT)

    def drop(self, lease: Lease, reason: str) -> None:
        """Take out a frame on purpose; a worker may go on using its slot."""
        self._counts.drop(lease.stage, reason)
        is_held = lease.state is LeaseState.HELD
        self._take_out(lease, LeaseState.ABANDONED if is_held else LeaseState.OUT)

    def note_returned(self, lease: Lease) -> None:
        """Note that no worker uses the slot of an abandoned frame any more."""
        lease.state = LeaseState.OUT

    def note_vanished(self, lease: Lease) -> None:
        """Give up a frame that nobody has, so that others go on; the counts will not match."""
        self._faults.append(f"frame {lease.meta.index} vanished in {lease.stage}")
        lease.state = LeaseState.OUT
        self.order.remove(lease)
        del self._leases[lease.meta.index]

    def hand_out_again(self, lease: Lease) -> None:
        """Let a frame wait once more, as its worker was lost."""
        self.stage_counts[lease.stage].retry()
        lease.served.pop(lease.stage, None)
        lease.state = LeaseState.WAITING

    def next_to_write(self) -> Lease | None:
        """Return the frame that the encode worker gets now; None if the next is not ready."""
        if (found := self.order.next()) is None:
            return None
        lease, begins_part = found
        lease.begins_part, lease.state = begins_part, LeaseState.HELD
        return lease

    def all_at_writer(self) -> bool:
        """Return whether the encode worker has every frame that is under way."""
        return len(self._leases) == len(self.order.at_writer)

    def mark_written(self, index: int, part: int, served: StageSpan) -> None:
        """Note that all sinks have a frame, in a part of that number."""
        lease = self._leases.get(index)
        if lease is not None:
            lease.part = part
            lease.served["encode"] = served

    def release(self, num_durable: int) -> list[Lease]:
        """Close the leases of the first frames, which are durable now; return them."""
        released = []
        while self.durable.count < num_durable and self.order.at_writer:
            lease = self.order.release()
            self._counts.finish()
            self.durable.add(lease.meta, lease.part)
            self._close(lease, LeaseState.OUT)
            released.append(lease)
        return released

    def take_from_writer(self, num_done: int) -> None:
        """Put back, in order, what a lost encode worker had.

        The first `num_done` frames of the stream are whole in the files: they are only counted.
        """
        for ordinal, lease in enumerate(self.order.put_back(), start=self.durable.count):
            self.hand_out_again(lease)
            lease.done_before = ordinal < num_done

    def close(self, num_decoded: int) -> None:
        """Compare the counts of all stages, now that the last frame is through."""
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
