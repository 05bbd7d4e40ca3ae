"""How frames are handed to workers, and what they made is taken from them."""

from collections.abc import Sequence
from typing import Any, Protocol

import zmq

from icstream.pipeline.ledger import Lease
from icstream.pipeline.processes import Worker
from icstream.pipeline.wire import Message, Pixels, Slot, WireError, WireFrame, Work


class Send(Protocol):
    """Sends a message to a worker, and what travels behind it."""

    def __call__(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        """Gives nothing back: a worker that is gone is noticed elsewhere."""


def send_frame(send: Send, worker: Worker, lease: Lease, fields: Sequence[str]) -> None:
    """Sends a worker a frame, with those of its arrays that the stage needs."""
    chosen = [lease.arrays[name] for name in fields if name in lease.arrays]
    frame = WireFrame(lease.meta, lease.geometry, tuple(pixels for pixels, _ in chosen))
    payload = [held for _, held in chosen if held is not None]
    send(worker, Work(frame, lease.room(), lease.begins_part), payload)


def found_arrays(
    slot: Slot, arrays: tuple[Pixels, ...], payload: list[zmq.Frame]
) -> dict[str, tuple[Pixels, zmq.Frame | None]]:
    """Gives what a message brought, by field.

    Raises:
        WireError: an array is not where it is said to be.
    """
    rest = iter(payload)
    found: dict[str, tuple[Pixels, zmq.Frame | None]] = {}
    for pixels in arrays:
        held = None
        if pixels.offset is None:
            held = next(rest, None)
            if held is None or len(held) != pixels.num_bytes:
                raise WireError(f"{pixels.field}: the array did not come with its message")
        elif not slot.start <= pixels.offset <= slot.stop - pixels.num_bytes:
            raise WireError(f"{pixels.field}: the array lies outside its slot")
        found[pixels.field] = pixels, held
    return found
