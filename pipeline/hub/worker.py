"""A worker, as those see it who give it work."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Worker:
    """A worker of a run; `WorkerProcess` is one that is there."""

    kind: str
    label: str
    """Its name for people, such as "segment 1" or "decode drive"."""
    name: bytes
    """Its name on the wire, known only to it and to the hub."""
    connected: bool = False
    """Whether it has sent something."""
    ready: bool = False
    """Whether it takes work."""
    warming: dict[tuple[int, int], None] = field(default_factory=dict)
    """Sizes of frames that it is preparing for, as (height, width), in order."""
    input_sizes: dict[tuple[int, int], None] = field(default_factory=dict)
    """Sizes of inputs that it is prepared for; the one used last is the last."""
    has_gained: bool = False
    """Whether the run has come further by it."""
    ending_since_s: float | None = None
    """When it was asked to end, so that its end is no loss."""
    num_sent: int = 0
    """Messages to it."""
    num_received: int = 0
    """Messages from it."""

    def gain(self) -> None:
        """Note that the run has come further by the worker."""
        self.has_gained = True

    def end(self) -> None:
        """Note that the worker was asked to end."""
        if self.ending_since_s is None:
            self.ending_since_s = time.monotonic()

    @property
    def is_ending(self) -> bool:
        """Whether the worker was asked to end."""
        return self.ending_since_s is not None

    def is_running(self) -> bool:
        """Return whether a process of the worker is there, which may use shared memory."""
        return False
