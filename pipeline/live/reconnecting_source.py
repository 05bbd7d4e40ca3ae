"""A live source over any number of connections, with reconnection, times and a rate limit."""

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
from icstream.stages.live import (
    AwaitsKeyFrame,
    Camera,
    LiveFrame,
    LostFrame,
    RateLimit,
    ReadingState,
    Timeline,
)

_MAX_WAIT_S = 5.0
"""Longest delay, in seconds, of frames that arrive in bursts."""
_MAX_LATE_S = 0.1
"""Lateness of a burst, in seconds, after which the pace is set anew."""
_GRACE_S = 5.0
"""Time in seconds beyond its own deadlines after which a connection counts as hanging."""


@dataclass(frozen=True, slots=True, eq=False)
class PendingFrame:
    """A frame that has been decoded but not converted to RGB."""

    meta: FrameMeta
    """Identity and time of the frame."""
    clock: Literal["pts", "arrival"]
    """Origin of its time: the source, or the moment of arrival."""
    arrived: float
    """Monotonic time of arrival, in seconds."""
    to_rgb: Callable[[], NDArray[np.uint8]]
    """Function that returns (H, W, 3) RGB, which the caller owns."""
    is_kept: bool
    """Whether the frame is kept by the rate limit."""


SourceItem: TypeAlias = PendingFrame | Gap | FormatChange | SourceChanged
"""An item of a live source."""

OpenCamera: TypeAlias = Callable[[int, Callable[[float], None]], Camera]
"""Function that connects to one source, or raises `SourceError`.

Its arguments are the number of the connection, from 1 (failed attempts do not count), and a
function
that waits until a number of seconds after the start of the attempt."""


class ReconnectingSource:
    """The items of a live source, over one connection after another."""

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
        """Prepare to read, without connecting.

        Args:
            stream: the name of the stream.
            open_camera: connects to the source.
            plan: the settings and the policy of the stream.
            accounting: the accounting of the stream, whose decoder's part is updated.
            before: the state of the source after earlier processes.
            stop: an event that ends the reading, even during a wait.
        """
        self._stream = stream
        self._open_camera = open_camera
        self._plan = plan
        self._accounting = accounting
        self._stop = stop
        self._num_connections = before.connections
        self._timeline = Timeline(before.last)
        self._limit = RateLimit(plan.settings.max_fps, last=before.last[0] if before.last else None)
        self._size: Size | None = None
        self._has_frames = before.last is not None
        self._due: float | None = None
        self._paced_from: tuple[float, Fraction] | None = None
        self._random = random.Random()
        self._held_s = 0.0

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield frames and changes of state as they come, until the source ends permanently."""
        num_failures, delay_s = 0, 0.0
        while not self._stop.is_set():
            yield SourceChanged("connecting", self._num_connections, None)
            began = time.monotonic()
            try:
                yield from self._read_connection(began)
                break
            except SourceError as lost:
                error = str(lost)
            finally:
                self._due = None
            # A connection that lasted longer than the last wait restarts the series.
            num_failures = 1 if self._held_s > delay_s else num_failures + 1
            delay_s = self._plan.settings.backoff.delay_s(num_failures, self._random)
            yield SourceChanged("backing off", self._num_connections, error)
            self._stop.wait(delay_s)
        yield SourceChanged("ended", self._num_connections, None)

    @property
    def hung(self) -> bool:
        """Whether a library call is far beyond its own timeout."""
        due = self._due
        return due is not None and time.monotonic() > due + _GRACE_S

    def _read_connection(self, began: float) -> Iterator[SourceItem]:
        """Yield the items of one connection, until the source ends permanently."""
        self._held_s = 0.0
        limit_s = self._plan.settings.read_timeout_s
        self._due = began + 2 * self._plan.settings.open_timeout_s
        number = self._num_connections + 1
        with self._open_camera(number, lambda s: self._wait(began + s)) as camera:
            received = iter(camera)
            is_new, last_frame = True, time.monotonic()
            key_frame = _KeyFrameWait(self._stream, limit_s)
            while not self._stop.is_set():
                self._due = time.monotonic() + limit_s
                item = next(received, _NO_MORE)
                self._due = None
                if item is _NO_MORE:
                    return
                now = time.monotonic()
                if isinstance(item, LiveFrame):
                    yield from self._take(item, now, is_new=is_new, camera=camera)
                    is_new, last_frame = False, time.monotonic()
                    key_frame.end()
                    self._held_s = now - began
                elif isinstance(item, LostFrame):
                    yield Gap(self._stream, self._accounting.decoded, item.pts, item.reason)
                elif isinstance(item, AwaitsKeyFrame):
                    last_frame = now  # packets arrive, so reconnecting would not help
                    if (error := key_frame.note(now)) is not None:
                        state: ReadingState = "connecting" if is_new else "live"
                        yield SourceChanged(state, self._num_connections, error)
                if now - last_frame > limit_s and not camera.may_be_silent:
                    raise SourceError(f"{self._stream}: no frame for {now - last_frame:.1f} s")

    def _take(
        self, frame: LiveFrame, arrived: float, *, is_new: bool, camera: Camera
    ) -> Iterator[SourceItem]:
        changes = []
        if is_new:
            self._num_connections += 1
            self._timeline.begin_connection()
            self._paced_from = None
            yield SourceChanged("live", self._num_connections, None)
            if self._has_frames:
                changes.append("connected again")
        if self._size is not None and self._size != frame.size:
            changes.append(size_change(self._size, frame.size))
        if camera.comes_in_bursts and self._plan.freshest and frame.pts is not None:
            arrived = self._hold_back(frame.pts * frame.time_base, arrived)
        pts, time_base, change = self._timeline.place(
            frame.pts, frame.time_base, arrived, max_ahead_s=camera.max_ahead_s
        )
        changes += [change] if change else []
        index = self._accounting.decoded
        if changes:
            yield FormatChange(self._stream, index, ", ".join(changes))
        self._size, self._has_frames = frame.size, True
        self._accounting.decoded += 1
        meta = FrameMeta(
            self._stream, index, pts, time_base, frame.size, pixel_aspect=frame.pixel_aspect
        )
        is_kept = self._limit.keeps(pts * time_base)
        yield PendingFrame(meta, self._timeline.clock, arrived, frame.to_rgb, is_kept)

    def _hold_back(self, time_s: Fraction, arrived: float) -> float:
        """Wait until a frame of a burst is due, and return that time."""
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


class _KeyFrameWait:
    """The wait for a key frame while packets arrive."""

    def __init__(self, stream: str, limit_s: float) -> None:
        self._stream = stream
        self._limit_s = limit_s
        self._began: float | None = None
        self._is_told = False

    def note(self, now: float) -> str | None:
        """Record that the wait continues; return a message once it has lasted for the limit."""
        self._began = now if self._began is None else self._began
        if self._is_told or now - self._began < self._limit_s:
            return None
        self._is_told = True
        return (
            f"{self._stream}: packets arrive, but no key frame for {now - self._began:.1f} s;"
            " decoding starts at the next key frame"
        )

    def end(self) -> None:
        """Record that a frame has arrived."""
        self._began, self._is_told = None, False


_NO_MORE = object()
