"""A live source over any number of connections: reconnecting, times, what is kept."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from icstream.model import SourceError
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import ResumeState, SourceChanged
from icstream.stages import FormatChange, FrameAccounting, FrameMeta, Gap
from icstream.stages.items import Size, size_change
from icstream.stages.live import Camera, LiveFrame, LostFrame, RateLimit, Timeline

_MAX_WAIT_S = 5.0
"""Frames that come in bursts are held back for no longer than this."""
_MAX_LATE_S = 0.1
"""A burst that is later than this sets the pace anew."""
_GRACE_S = 5.0
"""A connection that does not keep its own deadlines hangs after so much longer."""


@dataclass(frozen=True, slots=True, eq=False)
class PendingFrame:
    """A frame that left the decoder, before it becomes RGB."""

    meta: FrameMeta
    clock: Literal["pts", "arrival"]
    arrived: float
    """By the system's monotonic clock."""
    develop: Callable[[], NDArray[np.uint8]]
    is_kept: bool
    """False: the rate limit leaves it out."""


FeedItem: TypeAlias = PendingFrame | Gap | FormatChange | SourceChanged


OpenCamera: TypeAlias = Callable[[int, Callable[[float], None]], Camera]
"""Connects to one source, or raises `SourceError`. It is told the number of the connection, from 1
(attempts that fail do not count), and what waits until so many seconds after it was called."""


class ReconnectingSource:
    """Reads a live source for as long as it is wanted; connections come and go.

    Attributes:
        hung: true once a connection has not kept its own deadlines.
    """

    def __init__(
        self,
        stream: str,
        open_camera: OpenCamera,
        *,
        plan: LivePlan,
        accounting: FrameAccounting,
        before: ResumeState,
        stop: threading.Event,
    ) -> None:
        """Prepares; nothing is connected yet.

        Args:
            stream: its name.
            open_camera: makes connections.
            plan: how to read.
            accounting: of the stream; the feed keeps the decoder's side.
            before: what came before, from another process.
            stop: ends it, also in the middle of a wait.
        """
        self._stream = stream
        self._open_camera = open_camera
        self._plan = plan
        self._books = accounting
        self._stop = stop
        self._num_connections = before.connections
        self._timeline = Timeline(before.last)
        self._limit = RateLimit(plan.settings.max_fps, last=before.last[0] if before.last else None)
        self._size: Size | None = None
        self._has_frames = before.last is not None
        self._due: float | None = None
        self._paced_from: tuple[float, Fraction] | None = None
        self._dice = random.Random()
        self._held_s = 0.0

    def __iter__(self) -> Iterator[FeedItem]:
        """Gives frames as they come, and every change of state, until the source ends for good."""
        num_failures, delay_s = 0, 0.0
        while not self._stop.is_set():
            yield SourceChanged("connecting", self._num_connections, None)
            began = time.monotonic()
            try:
                yield from self._read_connection(began)
                break
            except SourceError as failure:
                error = str(failure)
            finally:
                self._due = None
            # A connection that held for longer than the last wait begins the series anew.
            num_failures = 1 if self._held_s > delay_s else num_failures + 1
            delay_s = self._plan.settings.backoff.delay_s(num_failures, self._dice)
            yield SourceChanged("backing off", self._num_connections, error)
            self._stop.wait(delay_s)
        yield SourceChanged("ended", self._num_connections, None)

    @property
    def hung(self) -> bool:
        """True if a call that should have come back by now has not."""
        due = self._due
        return due is not None and time.monotonic() > due + _GRACE_S

    def _read_connection(self, began: float) -> Iterator[FeedItem]:
        """Gives what comes over one connection; ends where the source ends for good."""
        self._held_s = 0.0
        limit_s = self._plan.settings.read_timeout_s
        self._due = began + 2 * self._plan.settings.open_timeout_s
        number = self._num_connections + 1
        with self._open_camera(number, lambda s: self._wait(began + s)) as camera:
            things = iter(camera)
            is_new, last_image = True, time.monotonic()
            while not self._stop.is_set():
                self._due = time.monotonic() + limit_s
                thing = next(things, _NO_MORE)
                self._due = None
                if thing is _NO_MORE:
                    return
                now = time.monotonic()
                if isinstance(thing, LiveFrame):
                    yield from self._take(thing, now, is_new=is_new, camera=camera)
                    is_new, last_image = False, time.monotonic()
                    self._held_s = now - began
                elif isinstance(thing, LostFrame):
                    yield Gap(self._stream, self._books.decoded, thing.pts, thing.reason)
                if now - last_image > limit_s and not camera.may_be_silent:
                    raise SourceError(f"{self._stream}: no image for {now - last_image:.1f} s")

    def _take(
        self, shot: LiveFrame, arrived: float, *, is_new: bool, camera: Camera
    ) -> Iterator[FeedItem]:
        changes = []
        if is_new:
            self._num_connections += 1
            self._timeline.begin_connection()
            self._paced_from = None
            yield SourceChanged("live", self._num_connections, None)
            if self._has_frames:
                changes.append("connected again")
        if self._size is not None and self._size != shot.size:
            changes.append(size_change(self._size, shot.size))
        if camera.comes_in_bursts and self._plan.freshest and shot.pts is not None:
            arrived = self._hold_back(shot.pts * shot.time_base, arrived)
        pts, time_base, change = self._timeline.place(shot.pts, shot.time_base, arrived)
        changes += [change] if change else []
        index = self._books.decoded
        if changes:
            yield FormatChange(self._stream, index, ", ".join(changes))
        self._size, self._has_frames = shot.size, True
        self._books.decoded += 1
        meta = FrameMeta(self._stream, index, pts, time_base, shot.size)
        is_kept = self._limit.keeps(pts * time_base)
        yield PendingFrame(meta, self._timeline.clock, arrived, shot.develop, is_kept)

    def _hold_back(self, time_s: Fraction, arrived: float) -> float:
        """Waits until a frame of a burst is due; gives when that was."""
        if self._paced_from is not None:
            wait_s = self._paced_from[0] + float(time_s - self._paced_from[1]) - arrived
            if 0 < wait_s <= _MAX_WAIT_S:
                self._wait(arrived + wait_s)
                return time.monotonic()
            if -_MAX_LATE_S < wait_s <= 0:
                return arrived
        self._paced_from = arrived, time_s
        return arrived

    def _wait(self, until: float) -> None:
        due, self._due = self._due, None
        self._stop.wait(max(0.0, until - time.monotonic()))
        self._due = due


_NO_MORE = object()
