"""The latencies of a stream's frames."""

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stage_counts import STAGES
from icstream.stages.latency import Latency


class StreamLatency:
    """The latencies of all finished frames of a stream.

    Attributes:
        service: Time that each stage worked on a frame.
        queueing: Time that a frame waited for each stage.
        total: Time from the decoder until a frame was in all sinks.
    """

    def __init__(self) -> None:
        self.service: dict[str, Latency] = {}
        self.queueing: dict[str, Latency] = {}
        self.total = Latency()

    def add(self, lease: Lease) -> None:
        """Add a finished frame, unless it skipped a stage."""
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
