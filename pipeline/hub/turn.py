"""One round of handing out waiting frames to the workers of a stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from icstream.pipeline.hub.fair_queue import FairQueue
from icstream.pipeline.hub.held_frames import HeldFrames
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.losses import UnusableSizes
from icstream.pipeline.hub.network_sizes import Demand, EverySize, NetworkSizes
from icstream.pipeline.hub.outcomes import FailedFrame, Outcome, Overtaken
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.stages.items import Size


@dataclass(slots=True)
class Turn:
    """One round, stream by stream, over the waiting frames that prepared workers have room for."""

    waiting: FairQueue
    held: HeldFrames
    sizes: NetworkSizes | EverySize
    unusable: UnusableSizes
    ready: list[Worker]
    """Workers that could start on a frame at once."""
    hand_out: Callable[[Worker, StreamState, Lease], None]
    lost: Callable[[str], tuple[str, str]]
    """Function that returns the short and the full reason for failing a frame at which workers were
    lost."""
    outcomes: list[Outcome] = field(default_factory=list)
    """Outcomes of frames that were not handed out."""
    demands: dict[Size, Demand] = field(default_factory=dict)
    """Demands that wait for a worker, by size."""

    def run(self) -> None:
        """Hand out frames, with the streams taking turns, until nothing more can be handed out."""
        self._try_suspect()
        while any([self._serve(stream) for stream in self.waiting.streams()]):
            pass

    def refuse(self, refused: Sequence[tuple[Demand, str]]) -> None:
        """Fail the frames of sizes for which there is no memory."""
        for demand, reason in refused:
            waiting = self.waiting.next_of(demand.stream)
            if waiting is not None and waiting.meta.size == demand.size:
                self._fail(demand.stream, "not enough memory", reason)

    def _try_suspect(self) -> None:
        """Hand out a frame at which workers were lost to a worker that has nothing else.

        That worker, or the one that is kept free for it, gets no other frame.
        """
        for worker in filter(self.held.has_suspect, self.ready):
            self.ready.remove(worker)
            return
        suspect = self.waiting.next_aside()
        if suspect is None or not self.ready:
            return
        fitting = [worker for worker in self.ready if self.sizes.has(worker, suspect[1].meta.size)]
        worker = min(fitting or self.ready, key=self.held.count)
        self.ready.remove(worker)
        if not self.held.count(worker):
            self.waiting.take_aside()
            self.hand_out(worker, *suspect)

    def _serve(self, stream: StreamState) -> bool:
        """Hand out or fail a stream's next frame if possible; return whether it was."""
        lease = self.waiting.next_of(stream)
        if lease is None or not any(self.held.has_room(worker, stream) for worker in self.ready):
            return False
        demand = Demand(stream, lease.meta.size)
        if demand.size in self.unusable:
            return self._fail(stream, *self.lost("while preparing for its size"))
        fitting = [worker for worker in self.ready if self.sizes.has(worker, demand.size)]
        worker = min(fitting, key=self.held.count, default=None)
        if worker is not None and self.held.has_room(worker, stream):
            self.hand_out(worker, stream, self._take(stream))
            return True
        if worker is None and (refusal := self.sizes.refuses(demand)) is not None:
            return self._fail(stream, "too many sizes", refusal)
        self.demands.setdefault(demand.size, demand)
        return False

    def _take(self, stream: StreamState) -> Lease:
        lease, overtaken = self.waiting.take(stream)
        self.outcomes += [Overtaken(stream, stale) for stale in overtaken]
        return lease

    def _fail(self, stream: StreamState, reason: str, detail: str) -> bool:
        """Fail the next frame of a stream, and return True."""
        self.outcomes.append(FailedFrame(stream, self._take(stream), reason, detail))
        return True
