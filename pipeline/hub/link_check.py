"""Checking that every message between hub and workers arrives."""

import time

from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import Heartbeat, WireError

_MAX_ON_THE_WAY_S = 5.0
"""A message that was sent this long ago and has not come is lost."""


class LinkCheck:
    """Numbers the messages of each link, and compares the numbers of both ends.

    A message that others follow is missed at once by its number, and one that none follows by the
    heartbeats, which say how many messages a worker has sent and read.
    """

    def __init__(self) -> None:
        self._missing_since_s: dict[bytes, float] = {}
        """Since when messages to or from a worker are on their way, by its name."""

    @staticmethod
    def next_number(worker: Worker) -> int:
        """Return the number of the next message to a worker."""
        number = worker.num_sent
        worker.num_sent += 1  # also if it cannot be sent: its number will be missed
        return number

    @staticmethod
    def check_number(worker: Worker, number: int) -> None:
        """Count a message from a worker.

        Raises:
            WireError: One before it is missing.
        """
        if number != worker.num_received:
            raise WireError(f"message {number} came where {worker.num_received} was due")
        worker.num_received += 1

    def check_heartbeat(self, worker: Worker, heartbeat: Heartbeat) -> None:
        """Compare what a worker has sent and read with what arrived and was sent.

        Raises:
            WireError: Messages are missing, and have been for too long to be on their way.
        """
        num_missing = max(0, heartbeat.num_sent - worker.num_received)
        if not heartbeat.busy_s:  # one that is busy reads nothing
            num_missing += max(0, worker.num_sent - heartbeat.num_received)
        if not num_missing or not worker.ready:
            self.forget(worker)
            return
        since_s = self._missing_since_s.setdefault(worker.name, time.monotonic())
        if time.monotonic() - since_s > _MAX_ON_THE_WAY_S:
            raise WireError(f"{num_missing} messages did not arrive")

    def forget(self, worker: Worker) -> None:
        """Forget what was missing of a worker."""
        self._missing_since_s.pop(worker.name, None)
