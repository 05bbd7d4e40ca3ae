"""Parts of a hub for tests, with streams and workers without processes."""

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from icstream.model import Fit
from icstream.model.memory import MemoryBudget
from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.network_sizes import NetworkSizes
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.hub.worker_pool import SharedPools, WorkerPool
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import Message, Slot, StageSpan
from icstream.pipeline.wire.shared_memory import Arena
from icstream.pipeline.wire.slot_size import SlotSize
from icstream.stages import FrameMeta
from icstream.stages.decode.find import SourceSpec

SIZE = (64, 96)
GEOMETRY = Fit().geometry(SIZE)
SPAN = StageSpan(0.0, 1.0)


def slot_pool(arena: Arena | None = None, *, num_bytes: int = 10**9) -> SlotPool:
    """Return memory for frames of any size, for a network of two classes."""
    return SlotPool(arena, size=SlotSize(Fit(), 2), budget=MemoryBudget(num_bytes))


def network_sizes(num_bytes: int = 10**9) -> NetworkSizes:
    """Return the assignment of sizes to workers."""
    return NetworkSizes(Fit(), MemoryBudget(num_bytes), on_cpu=True)


class Workers:
    """Workers without processes, which record the messages sent to them."""

    def __init__(self) -> None:
        self.started: list[Worker] = []
        self.sent: list[tuple[str, Message]] = []
        self.sent_to_each: defaultdict[bytes, list[Message]] = defaultdict(list)

    def start(self, kind: str, which: object = 0) -> Worker:
        name = f"{kind} {which}"
        worker = Worker(kind, name, f"{name} {len(self.started)}".encode())
        self.started.append(worker)
        return worker

    def send(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        self.sent.append((worker.label, body))
        self.sent_to_each[worker.name].append(body)

    def of(self, kind: str) -> Worker:
        """Return the worker that was started last."""
        return next(worker for worker in reversed(self.started) if worker.kind == kind)

    def sent_to(self, kind: str) -> list[type[Message]]:
        return [type(body) for label, body in self.sent if label.startswith(kind)]

    def pools(self, count: int = 1, *, sizes: NetworkSizes | None = None) -> SharedPools:
        def start(kind: str) -> Callable[[int], Worker]:
            return lambda number: self.start(kind, number)

        segment = WorkerPool("segment", start("segment"), count=count, send=self.send, sizes=sizes)
        preprocess = WorkerPool(
            "preprocess", start("preprocess"), count=count, send=self.send, successor=segment
        )
        for worker in [*segment.workers, *preprocess.workers]:
            worker.connected = worker.ready = True
        return SharedPools(segment, preprocess)

    def context(self, *, window: int = 4, num_bytes: int = 10**9) -> ControllerContext:
        return ControllerContext(
            window=window,
            slots=slot_pool(num_bytes=num_bytes),
            send=self.send,
            pools=self.pools(sizes=network_sizes()),
            on_frame=lambda _stream, _lease: None,
        )

    def stream(
        self, name: str = "drive", plan: LivePlan | None = None, *, is_live: bool = False
    ) -> StreamState:
        spec = SourceSpec(name, "live" if is_live else "video", (Path("x.mp4"),), "x.mp4")
        return StreamState(
            spec,
            lambda: self.start("decode", name),
            lambda _: self.start("encode", name),
            resumes=False,
            plan=plan or LivePlan(),
        )


def open_leases(stream: StreamState, *indices: int) -> list[Lease]:
    """Open leases of frames as if they came from the decoder."""
    stream.accounting.decoded += len(indices)
    stream.accounting.packets += len(indices)
    metas = [FrameMeta(stream.name, n, n, Fraction(1, 25), SIZE) for n in indices]
    return [stream.leases.open(meta, Slot(meta.index), SPAN) for meta in metas]
