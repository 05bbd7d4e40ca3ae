"""The frames that each worker of a pool has."""

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker

StreamLease = tuple[StreamState, Lease]


_DEPTH = 2
"""Most frames that a worker has at once: one in progress and one queued."""
_QUICK = 0.1
"""Most time per frame of a quick stage, as a share of the greatest age of a frame."""


class HeldFrames:
    """The frames that each worker of a pool has, in the order of sending."""

    def __init__(self) -> None:
        self._held: dict[bytes, list[StreamLease]] = {}
        self._service_s: float | None = None
        """Moving average of the time per frame, in seconds; None before the first."""

    def __contains__(self, frame: StreamLease) -> bool:
        return any(frame in held for held in self._held.values())

    def add(self, worker: Worker, stream: StreamState, lease: Lease) -> None:
        """Record that a worker got a frame."""
        self._held.setdefault(worker.name, []).append((stream, lease))

    def count(self, worker: Worker) -> int:
        """Return the number of frames that a worker has."""
        return len(self._held.get(worker.name, ()))

    def has_room(self, worker: Worker, stream: StreamState) -> bool:
        """Return whether a worker may get another frame of this stream.

        With the policy freshest, a frame queued behind a slow one could not be overtaken any more.
        """
        plan, service_s = stream.plan, self._service_s
        is_slow = service_s is None or service_s > _QUICK * plan.settings.max_age_s
        return self.count(worker) < (1 if plan.freshest and is_slow else _DEPTH)

    def note_service(self, took_s: float) -> None:
        """Record how long a worker took for a frame."""
        before_s = took_s if self._service_s is None else self._service_s
        self._service_s = 0.8 * before_s + 0.2 * took_s

    def has_suspect(self, worker: Worker) -> bool:
        """Return whether a worker has a frame that is tried alone."""
        return any(lease.losses.is_suspect for _, lease in self._held.get(worker.name, ()))

    def find(self, worker: Worker, stream: str, index: int) -> StreamLease | None:
        """Return a frame that a worker has, or None if it does not have it."""
        for found in self._held.get(worker.name, ()):
            if found[0].name == stream and found[1].meta.index == index:
                return found
        return None

    def take(self, worker: Worker, frame: StreamLease) -> None:
        """Record that a worker has finished a frame."""
        self._held[worker.name].remove(frame)

    def take_all(self, worker: Worker) -> list[StreamLease]:
        """Record that a worker is gone, and return the frames that it had."""
        return self._held.pop(worker.name, [])
