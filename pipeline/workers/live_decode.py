"""The decode worker of a live source, with one thread that reads and one that sends."""

import os
import queue
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from icstream.model.planar import interleaved
from icstream.pipeline.live.reconnecting_source import (
    OpenCamera,
    PendingFrame,
    ReconnectingSource,
    SourceItem,
)
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.frames import SlotSpace
from icstream.pipeline.wire.messages import (
    BeginDecode,
    Decoded,
    Ended,
    FormatChanged,
    GapFound,
    Opened,
    Ready,
    Skipped,
    Slot,
    SourceAccounting,
    SourceChanged,
    StageSpan,
    WireFrame,
)
from icstream.pipeline.wire.slot_size import SlotSize
from icstream.pipeline.workers.grants import NO_MEMORY, Grants
from icstream.stages import FormatChange, FrameAccounting, Gap
from icstream.stages.decode.source import SourceInfo
from icstream.stages.items import Size

_QUEUE = 8
"""Most items between the two threads, and most items that wait for slots."""
_WAIT_S = 0.25
_END_S = 0.5
"""Longest time, in seconds, to close a connection in order."""


@dataclass(frozen=True, slots=True)
class _Entry:
    item: SourceItem
    accounting: SourceAccounting
    """Accounting as of this item."""


def decode_live(
    connection: WorkerConnection,
    stream: str,
    open_camera: OpenCamera,
    *,
    plan: LivePlan,
    accounting: FrameAccounting,
    slot_size: SlotSize,
) -> None:
    """Read a live source until the source or the run ends.

    Args:
        connection: the connection to the hub.
        stream: the name of the stream.
        open_camera: opens connections, which update `accounting`.
        plan: the settings and the policy of the stream.
        accounting: the accounting of the stream.
        slot_size: the rule for the sizes of slots.
    """
    connection.link.send(Ready())
    begin = connection.expect(BeginDecode)
    begin.before.accounting.write_to(accounting)
    stop = threading.Event()
    source = ReconnectingSource(
        stream,
        open_camera,
        plan=plan,
        accounting=accounting,
        before=begin.before,
        stop=stop,
    )
    reader = _LiveReader(source, accounting, stop)
    reader.thread.start()
    sender = _Sender(
        connection,
        reader,
        begin.skip_items,
        begin.before.accounting,
        Grants(connection, slot_size),
        freshest=plan.freshest,
    )
    try:
        sender.run(max_age_s=plan.settings.max_age_s)
    finally:
        stop.set()
        reader.thread.join(_END_S)


class _LiveReader:
    """The thread that reads, which may hang in a library and is never waited for.

    Attributes:
        thread: the thread, to be started.
        wake: a descriptor that becomes readable when there are entries.
        error: an unexpected error that ended the thread.
    """

    def __init__(
        self, source: ReconnectingSource, accounting: FrameAccounting, stop: threading.Event
    ) -> None:
        self._source = source
        self._accounting = accounting
        self._stop = stop
        self._entries: queue.Queue[_Entry] = queue.Queue(_QUEUE)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.error: BaseException | None = None

    def take(self) -> list[_Entry]:
        """Return the entries read so far.

        Raises:
            RuntimeError: the thread has failed or hangs, so a new process is needed.
        """
        with suppress(BlockingIOError):
            os.eventfd_read(self.wake)
        entries = []
        with suppress(queue.Empty):
            while True:
                entries.append(self._entries.get_nowait())
        if self.error is not None and not entries:
            raise RuntimeError("the source's reader failed") from self.error
        if self._source.hung:
            raise RuntimeError("the source hangs beyond its own timeouts")
        return entries

    def _run(self) -> None:
        try:
            for item in self._source:
                self._put(_Entry(item, SourceAccounting.of(self._accounting)))
        except BaseException as error:
            self.error = error
            os.eventfd_write(self.wake, 1)

    def _put(self, entry: _Entry) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._entries.put(entry, timeout=_WAIT_S)
                os.eventfd_write(self.wake, 1)
                return


class _Sender:
    """Sends all items in order; frames only as slots are granted."""

    def __init__(
        self,
        connection: WorkerConnection,
        reader: _LiveReader,
        num_items: int,
        accounting: SourceAccounting,
        grants: Grants,
        *,
        freshest: bool,
    ) -> None:
        self._connection = connection
        self._space = SlotSpace(connection.memory)
        self._reader = reader
        self._number = num_items
        self._freshest = freshest
        self._entries: deque[_Entry] = deque()
        self._grants = grants
        self._room_since_s: float | None = None
        """Time of the first grant, when the network was ready; frames age from then on."""
        self._last = accounting
        """Accounting as of the last item that was sent."""
        self._end_accounting = accounting
        """Accounting as of the end of the source."""
        self._size: Size | None = None
        self._ended = False

    def run(self, *, max_age_s: float) -> None:
        """Send items until the source has ended, or the hub needs no more."""
        while not self._grants.stopped and not (self._ended and not self._entries):
            is_full = len(self._entries) >= _QUEUE
            self._connection.link.wait(_WAIT_S, also=None if is_full else self._reader.wake)
            self._grants.receive(0)
            if self._room_since_s is None and self._grants.first is not None:
                self._room_since_s = time.monotonic()
            if not is_full:
                self._take()
            self._send_entries(max_age_s if self._freshest else None)
        for entry in self._entries:
            self._send_other(entry, "stopped")
        accounting = self._last if self._grants.stopped else self._end_accounting
        self._connection.link.send(Ended(self._number, accounting.closed(), None))

    def _take(self) -> None:
        for entry in self._reader.take():
            item = entry.item
            if isinstance(item, SourceChanged):
                self._connection.link.send(item)
                if item.state == "ended":
                    self._ended, self._end_accounting = True, entry.accounting
                continue
            if isinstance(item, PendingFrame) and item.meta.size != self._size:
                self._size = item.meta.size
                info = SourceInfo(item.clock, item.meta.time_base, None, self._size)
                self._connection.link.send(Opened(info))
            self._entries.append(entry)

    def _send_entries(self, max_age_s: float | None) -> None:
        """Send what is possible; with a maximum age, skip frames that are too old."""
        while self._entries:
            entry = self._entries[0]
            if not isinstance(entry.item, PendingFrame) or not entry.item.is_kept:
                self._send_other(entry, "rate")
            elif max_age_s is not None and self._is_stale(entry.item, max_age_s):
                self._send_other(entry, "stale")
            elif (refusal := self._grants.take_refusal()) is not None:
                self._send_other(entry, NO_MEMORY, refusal)
            elif (slot := self._grants.take(entry.item.meta.size)) is not None:
                self._send_frame(entry, entry.item, slot)
            else:
                return
            self._entries.popleft()

    def _is_stale(self, frame: PendingFrame, max_age_s: float) -> bool:
        """Return whether a frame is too old, or a newer one waits for the same slot."""
        if self._room_since_s is None:
            return len(self._entries) >= _QUEUE
        if time.monotonic() - self._begin_of(frame) > max_age_s:
            return True
        return self._grants.first is None and any(
            isinstance(entry.item, PendingFrame) and entry.item.is_kept
            for entry in list(self._entries)[1:]
        )

    def _send_frame(self, entry: _Entry, frame: PendingFrame, slot: Slot) -> None:
        with self._connection.busy():
            self._space.begin((slot.start, slot.stop))
            self._space.copy("image", interleaved(frame.to_rgb()))
            places, payload = self._space.packed()
        served = StageSpan(self._begin_of(frame), time.monotonic())
        sent = WireFrame(frame.meta, None, places)
        self._send(Decoded(self._number, slot, sent, entry.accounting, served), payload)
        self._last = entry.accounting

    def _begin_of(self, frame: PendingFrame) -> float:
        """Return when a frame began to age, not counting the start of the network."""
        return max(frame.arrived, self._room_since_s or frame.arrived)

    def _send_other(self, entry: _Entry, reason: str, failure: str | None = None) -> None:
        """Send an item that is not a frame, or the reason why a frame was skipped or failed."""
        match entry.item:
            case PendingFrame(meta=meta):
                skipped = Skipped(self._number, meta.index, reason, entry.accounting, failure)
                self._send(skipped)
                self._last = entry.accounting
            case Gap() as gap:
                self._send(GapFound(self._number, gap, entry.accounting))
                self._last = entry.accounting
            case FormatChange() as change:
                # Its accounting is in the middle of the next frame.
                self._send(FormatChanged(self._number, change))

    def _send(self, body: Any, payload: list[Any] | None = None) -> None:
        self._connection.link.send(body, payload or ())
        self._number += 1
