"""Sending of frames to workers."""

from collections.abc import Sequence
from typing import Any, Protocol

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import Message, WireFrame, Work


class Send(Protocol):
    """A function that sends a message to a worker, with an optional payload."""

    def __call__(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        """Send a message; the supervisor detects workers that are gone."""


def send_frame(send: Send, worker: Worker, lease: Lease, fields: Sequence[str]) -> None:
    """Send a frame to a worker, with the arrays that its stage needs."""
    chosen = [lease.arrays[name] for name in fields if name in lease.arrays]
    frame = WireFrame(lease.meta, lease.geometry, tuple(pixels for pixels, _ in chosen))
    payload = [held for _, held in chosen if held is not None]
    send(worker, Work(frame, lease.room(), lease.begins_part), payload)
