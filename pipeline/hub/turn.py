"""Handing out, once, what waits for the workers of a stage."""

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
    """Hands out, stream by stream, what the workers have room for and are prepared for."""

    waiting: FairQueue
    held: HeldFrames
    sizes: NetworkSizes | EverySize
    unusable: UnusableSizes
    ready: list[Worker]
    """Workers that could begin with a frame at once."""
    hand_out: Callable[[Worker, StreamState, Lease], None]
    lost: Callable[[str], tuple[str, str]]
    """Returns the reason, in a few words and in full, of a frame that workers were lost at."""
    outcomes: list[Outcome] = field(default_factory=list)
    """What became of frames that were not handed out."""
    demands: dict[Size, Demand] = field(default_factory=dict)
    """What waits for want of a worker, by size."""

    def run(self) -> None:
        """Let the streams take turns, until nothing can be handed out any more."""
        self._try_suspect()
        while any([self._serve(stream) for stream in self.waiting.streams()]):
            pass

    def refuse(self, refused: Sequence[tuple[Demand, str]]) -> None:
        """Let the frames fail for whose size there is no memory."""
        for demand, reason in refused:
            waiting = self.waiting.next_of(demand.stream)
            if waiting is not None and waiting.meta.size == demand.size:
                self._fail(demand.stream, "not enough memory", reason)

    def _try_suspect(self) -> None:
        """Hand out a frame on which workers were lost, to one that has nothing else.

        That worker, or the one that is kept free for it, is ready for no other frame.
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
        """Part with the next frame of a stream, if a worker has room for it or it has no chance."""
        lease = self.waiting.next_of(stream)
        if lease is None or not any(self.held.has_room(worker, stream) for worker in self.ready):
            return False
        demand = Demand(stream, lease.meta.size)
        if demand.size in self.unusable:
            return self._fail(stream, *self.lost("preparing for its size"))
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
        """Let the next frame of a stream fail."""
        self.outcomes.append(FailedFrame(stream, self._take(stream), reason, detail))
        return True
