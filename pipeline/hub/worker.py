"""The hub's record of a worker."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Worker:
    """A worker of a run; `WorkerProcess` adds its process."""

    kind: str
    label: str
    """Name for people, such as "segment 1" or "decode drive"."""
    name: bytes
    """Name on the wire, known only to the worker and the hub."""
    connected: bool = False
    """Whether it has sent a message."""
    ready: bool = False
    """Whether it accepts work."""
    warming: dict[tuple[int, int], None] = field(default_factory=dict)
    """Sizes of frames that it is preparing for, as (height, width), in order."""
    input_sizes: dict[tuple[int, int], None] = field(default_factory=dict)
    """Sizes of inputs that it is prepared for, with the most recently used last."""
    has_gained: bool = False
    """Whether it has made progress."""
    ending_since_s: float | None = None
    """Monotonic time, in seconds, at which it was asked to end, after which its end is no loss."""
    num_sent: int = 0
    """Number of messages sent to it."""
    num_received: int = 0
    """Number of messages received from it."""

    def gain(self) -> None:
        """Record that the worker has made progress."""
        self.has_gained = True

    def end(self) -> None:
        """Record that the worker was asked to end."""
        if self.ending_since_s is None:
            self.ending_since_s = time.monotonic()

    @property
    def is_ending(self) -> bool:
        """Whether the worker was asked to end."""
        return self.ending_since_s is not None

    def is_running(self) -> bool:
        """Return whether the worker has a process, which may use shared memory."""
        return False
