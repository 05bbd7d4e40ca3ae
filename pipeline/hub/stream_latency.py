"""How long the frames of a stream take."""

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stage_counts import STAGES
from icstream.stages.latency import Latency


class StreamLatency:
    """The durations of all frames of a stream that are through.

    Attributes:
        service: How long each stage worked on a frame.
        queueing: How long a frame waited for each stage.
        total: How long it took from the decoder to all sinks.
    """

    def __init__(self) -> None:
        self.service: dict[str, Latency] = {}
        self.queueing: dict[str, Latency] = {}
        self.total = Latency()

    def add(self, lease: Lease) -> None:
        """Count a frame that is through, unless a stage did not work on it."""
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
