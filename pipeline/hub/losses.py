"""Workers that are lost at one place again and again; restarts are judged by progress.

A place is a frame, an item of a source, or a size that the network prepares for. A worker that is
lost there may have been unlucky: the place is tried again. Where it happens again with nothing
gained in between, the place is the reason, whatever the cause looks like: a crash, a hang, or
SIGKILL by a system that is short of memory.
"""

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass

from icstream.pipeline.hub.worker import Worker
from icstream.stages.items import Size

log = logging.getLogger(__name__)

_SUSPECT = 2
"""Losses after which a place is tried alone."""
_MAX_CRASHES = 3
"""Losses by the worker's own doing after which a place is given up."""
_MAX_LOSSES = 5
"""Losses of any cause after which a place is given up; kills may come from a person or a test."""
_MAX_IN_A_ROW = 4
"""Places given up in a row that count as progress."""
_CAUTION = 16
"""So many places from one at which a worker was lost on are given out one by one."""
_MAX_FAILED = 2
"""Frames of a size given up, with none that came through, after which no other is tried."""


@dataclass(slots=True)
class Losses:
    """The workers that were lost at one place."""

    num_crashes: int = 0
    """Those that crashed or hung: nobody else ended them."""
    num_kills: int = 0
    """Those that were killed."""

    def add(self, *, crashed: bool) -> None:
        """Count a worker."""
        self.num_crashes += crashed
        self.num_kills += not crashed

    @property
    def is_suspect(self) -> bool:
        """Whether the place is to be tried alone, so that no other is blamed for it."""
        return self.num_crashes + self.num_kills >= _SUSPECT

    @property
    def are_too_many(self) -> bool:
        """Whether the place is to be given up."""
        return self.num_crashes >= _MAX_CRASHES or (
            self.num_crashes + self.num_kills >= _MAX_LOSSES
        )


class Surrenders:
    """Places that were given up one after another, with nothing gained in between.

    Giving up a place is progress, as long as it is not all that happens.
    """

    def __init__(self) -> None:
        self._num_in_a_row = 0

    def add(self, worker: Worker) -> None:
        """Count a place that is given up because a worker was lost there every time."""
        self._num_in_a_row += 1
        if self._num_in_a_row <= _MAX_IN_A_ROW:
            worker.gain()

    def clear(self) -> None:
        """Note that something was gained."""
        self._num_in_a_row = 0


class LossesInOrder:
    """Losses of workers that come to one place after another, such as the frames of a stream."""

    def __init__(self) -> None:
        self._place = -_CAUTION
        self._losses = Losses()

    def add(self, place: int, *, crashed: bool) -> Losses:
        """Count a worker that was lost at a place; return the losses there."""
        if place != self._place:
            self._place, self._losses = place, Losses()
        self._losses.add(crashed=crashed)
        return self._losses

    def calls_for_caution(self, place: int) -> bool:
        """Return whether a worker is to be given this place alone.

        What a worker sent last may be lost with it: it may have been further than is known, and
        the wrong place be blamed. One that gets the next place only once it is known to be through
        with the last is lost where it seems to be.
        """
        return place < self._place + _CAUTION


class UnusableSizes:
    """Sizes of frames, as (height, width), that the workers of a stage do not survive."""

    def __init__(self) -> None:
        self._unusable: set[Size] = set()
        self._used: set[Size] = set()
        """Those that a worker has come through with."""
        self._losses: defaultdict[Size, Losses] = defaultdict(Losses)
        """In preparing for each."""
        self._num_failed: Counter[Size] = Counter()
        """Frames of each on which workers were lost until they were given up."""
        self._surrenders = Surrenders()

    def __contains__(self, size: Size) -> bool:
        return size in self._unusable

    def note_used(self, size: Size) -> None:
        """Note that a worker is ready for a size, or through with a frame of it."""
        self._used.add(size)
        self._surrenders.clear()

    def note_loss(self, size: Size, *, crashed: bool) -> bool:
        """Count a worker lost while it prepared for a size; return whether it is unusable now."""
        self._losses[size].add(crashed=crashed)
        return self._losses[size].are_too_many and self._give_up(size)

    def note_failed(self, size: Size, worker: Worker) -> None:
        """Count a frame that is given up, as workers were lost at it, this one as the last."""
        self._surrenders.add(worker)
        self._num_failed[size] += 1
        if self._num_failed[size] >= _MAX_FAILED:
            self._give_up(size)

    def _give_up(self, size: Size) -> bool:
        if size in self._used or size in self._unusable:
            return False
        self._unusable.add(size)
        log.error("frames of %dx%d fail: no worker survives that size", size[1], size[0])
        return True


class FruitlessRestarts:
    """How often each worker was restarted in a row without anything gained in between."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        """Losses in a row, by the worker's label."""

    def add(self, worker: Worker) -> int:
        """Count a worker that was lost; return the losses in a row."""
        count = 1 if worker.has_gained else self._counts.get(worker.label, 0) + 1
        self._counts[worker.label] = count
        return count
