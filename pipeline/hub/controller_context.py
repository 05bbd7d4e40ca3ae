"""Objects shared by the controllers of all streams."""

from collections.abc import Callable
from dataclasses import dataclass

from icstream.pipeline.hub.dispatch import Send
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker_pool import SharedPools


@dataclass(frozen=True, slots=True)
class ControllerContext:
    """Objects shared by the controllers of all streams."""

    window: int
    """Most frames of a stream in flight."""
    slots: SlotPool
    """Memory for the frames."""
    send: Send
    """Function that sends a message to a worker."""
    pools: SharedPools
    """Workers shared by all streams."""
    on_frame: Callable[[StreamState, Lease], None]
    """Callback for each frame that has become durable in its files."""
