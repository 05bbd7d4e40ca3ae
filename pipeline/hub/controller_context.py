"""What the controllers of all streams share."""

from collections.abc import Callable
from dataclasses import dataclass

from icstream.pipeline.hub.dispatch import Send
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker_pool import SharedPools


@dataclass(frozen=True, slots=True)
class ControllerContext:
    """What the controllers of all streams share."""

    window: int
    """Frames of a stream that may be in flight."""
    slots: SlotPool
    """The memory for them."""
    send: Send
    """Sends messages to workers."""
    pools: SharedPools
    """The workers that all streams share."""
    on_frame: Callable[[StreamState, Lease], None]
    """Called with each frame that is durable in its files."""
