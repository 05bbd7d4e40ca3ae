"""Detection of places at which workers are lost repeatedly.

A place is a frame, an item of a source, or a size that the network prepares for. After a first
loss, the place is tried again. After repeated losses without progress in between, the place counts
as the cause, whatever the losses look like: a crash, a hang, or SIGKILL for lack of memory.
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
"""Crashes and hangs after which a place is abandoned."""
_MAX_LOSSES = 5
"""Losses of any cause after which a place is abandoned; kills may come from a person or a test."""
_MAX_IN_A_ROW = 4
"""Most consecutively abandoned places that count as progress."""
_CAUTION = 16
"""Number of places, from one with a loss on, that are handed out one by one."""
_MAX_FAILED = 2
"""Failed frames of a size, without any success, after which the size is abandoned."""


@dataclass(slots=True)
class Losses:
    """The workers lost at one place."""

    num_crashes: int = 0
    """Number of workers that crashed or hung."""
    num_kills: int = 0
    """Number of workers that were killed from outside."""

    def add(self, *, crashed: bool) -> None:
        """Count a lost worker."""
        self.num_crashes += crashed
        self.num_kills += not crashed

    @property
    def is_suspect(self) -> bool:
        """Whether the place is tried alone, so that no other place is blamed for it."""
        return self.num_crashes + self.num_kills >= _SUSPECT

    @property
    def are_too_many(self) -> bool:
        """Whether the place is to be abandoned."""
        return self.num_crashes >= _MAX_CRASHES or (
            self.num_crashes + self.num_kills >= _MAX_LOSSES
        )


class Surrenders:
    """Places abandoned one after another without progress in between.

    Abandoning a place counts as progress, unless nothing else happens.
    """

    def __init__(self) -> None:
        self._num_in_a_row = 0

    def add(self, worker: Worker) -> None:
        """Count a place that was abandoned because workers were repeatedly lost there."""
        self._num_in_a_row += 1
        if self._num_in_a_row <= _MAX_IN_A_ROW:
            worker.gain()

    def clear(self) -> None:
        """Record progress."""
        self._num_in_a_row = 0


class LossesInOrder:
    """Losses at consecutive places, such as the frames of a stream."""

    def __init__(self) -> None:
        self._place = -_CAUTION
        self._losses = Losses()

    def add(self, place: int, *, crashed: bool) -> Losses:
        """Count a worker lost at a place, and return the losses there."""
        if place != self._place:
            self._place, self._losses = place, Losses()
        self._losses.add(crashed=crashed)
        return self._losses

    def calls_for_caution(self, place: int) -> bool:
        """Return whether a worker must get this place alone.

        The last messages of a lost worker may be lost too, so it may have been further than known
        and
        the wrong place would be blamed. A worker that gets one place at a time is lost at that
        place.
        """
        return place < self._place + _CAUTION


class UnusableSizes:
    """Sizes of frames, as (height, width), at which all workers of a stage are lost."""

    def __init__(self) -> None:
        self._unusable: set[Size] = set()
        self._used: set[Size] = set()
        """Sizes with which a worker has succeeded."""
        self._losses: defaultdict[Size, Losses] = defaultdict(Losses)
        """Losses while preparing for each size."""
        self._num_failed: Counter[Size] = Counter()
        """Number of frames of each size that were abandoned."""
        self._surrenders = Surrenders()

    def __contains__(self, size: Size) -> bool:
        return size in self._unusable

    def note_used(self, size: Size) -> None:
        """Record that a worker is ready for a size, or has finished a frame of it."""
        self._used.add(size)
        self._surrenders.clear()

    def note_loss(self, size: Size, *, crashed: bool) -> bool:
        """Count a worker lost while preparing for a size; return whether it becomes unusable."""
        self._losses[size].add(crashed=crashed)
        return self._losses[size].are_too_many and self._give_up(size)

    def note_failed(self, size: Size, worker: Worker) -> None:
        """Count an abandoned frame; `worker` was the last one lost at it."""
        self._surrenders.add(worker)
        self._num_failed[size] += 1
        if self._num_failed[size] >= _MAX_FAILED:
            self._give_up(size)

    def _give_up(self, size: Size) -> bool:
        if size in self._used or size in self._unusable:
            return False
        self._unusable.add(size)
        log.error("frames of %dx%d fail: workers crash at this size", size[1], size[0])
        return True


class FruitlessRestarts:
    """Consecutive restarts of each worker without progress in between."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        """Number of consecutive losses, by the worker's label."""

    def add(self, worker: Worker) -> int:
        """Count a lost worker, and return the number of consecutive losses."""
        count = 1 if worker.has_gained else self._counts.get(worker.label, 0) + 1
        self._counts[worker.label] = count
        return count
