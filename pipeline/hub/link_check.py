"""Detection of lost messages between hub and workers."""

import time

from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import Heartbeat, WireError

_MAX_ON_THE_WAY_S = 5.0
"""Time in seconds after which a message that has not arrived counts as lost."""


class LinkCheck:
    """Numbers the messages of each link, and compares the numbers of both ends.

    The number of the next message reveals a lost one at once. If no message follows, heartbeats
    reveal it, because they contain the numbers of messages that a worker has sent and read.
    """

    def __init__(self) -> None:
        self._missing_since_s: dict[bytes, float] = {}
        """Time since which messages to or from a worker have been missing, by its name."""

    @staticmethod
    def next_number(worker: Worker) -> int:
        """Return the number of the next message to a worker."""
        number = worker.num_sent
        worker.num_sent += 1  # also if sending fails: the number will be missed
        return number

    @staticmethod
    def check_number(worker: Worker, number: int) -> None:
        """Count a message from a worker.

        Raises:
            WireError: A message before it is missing.
        """
        if number != worker.num_received:
            raise WireError(f"received message {number} instead of {worker.num_received}")
        worker.num_received += 1

    def check_heartbeat(self, worker: Worker, heartbeat: Heartbeat) -> None:
        """Compare the numbers in a heartbeat with the messages received and sent.

        Raises:
            WireError: Messages have been missing for too long to be in transit.
        """
        num_missing = max(0, heartbeat.num_sent - worker.num_received)
        if not heartbeat.busy_s:  # a busy worker does not read
            num_missing += max(0, worker.num_sent - heartbeat.num_received)
        if not num_missing or not worker.ready:
            self.forget(worker)
            return
        since_s = self._missing_since_s.setdefault(worker.name, time.monotonic())
        if time.monotonic() - since_s > _MAX_ON_THE_WAY_S:
            raise WireError(f"{num_missing} messages did not arrive")

    def forget(self, worker: Worker) -> None:
        """Discard what is known of missing messages of a worker."""
        self._missing_since_s.pop(worker.name, None)
