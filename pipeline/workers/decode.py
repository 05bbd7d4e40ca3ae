"""The decode worker: sends the frames of one source as fast as there is room for them."""

import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from numpy.typing import NDArray

from icstream.model import Geometry, SourceError
from icstream.model.network_input import image_fault
from icstream.model.planar import planes
from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.frames import SlotSpace, pack
from icstream.pipeline.wire.messages import (
    BeginDecode,
    Decoded,
    Ended,
    Field,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    Opened,
    Slot,
    SourceAccounting,
    StageSpan,
    WireFrame,
)
from icstream.pipeline.wire.tasks import DecodeTask, task_from_json
from icstream.pipeline.workers.stage_worker import preprocess_stage
from icstream.stages import End, FormatChange, Frame, FrameAccounting, Gap
from icstream.stages.preprocess import Preprocess

_WAIT_S = 0.5


def decode(connection: WorkerConnection) -> None:
    """Reads a source; waits for room before each frame."""
    from icstream.stages.decode import open_source

    task = task_from_json(DecodeTask, connection.task.encode())
    accounting = FrameAccounting()
    if task.live is not None:
        from icstream.pipeline.live.open_camera import camera_opener
        from icstream.pipeline.workers.live_decode import decode_live

        decode_live(
            connection, task, camera_opener(task.spec, task.live.options, accounting), accounting
        )
        return
    room = SlotSpace(connection.memory)
    open_it = partial(
        open_source,
        task.spec,
        accounting=accounting,
        threads=task.threads,
        num_loops=task.num_loops,
        empty=room.empty,
    )
    source = open_it()
    connection.link.send(Opened(source.info))
    begin = connection.expect(BeginDecode)
    if begin.first_image:
        source.__exit__(None, None, None)
        source = open_it(first_image=begin.first_image)
    stage = preprocess_stage(task.preprocess, room)
    with source:
        _RecordingReader(connection, accounting, begin.skip_items, room, stage).read(iter(source))
    for _ in connection.messages():
        pass


class _RecordingReader:
    """Sends the items of a source as fast as there is room for them."""

    def __init__(
        self,
        connection: WorkerConnection,
        accounting: FrameAccounting,
        skip_items: int,
        room: SlotSpace,
        preprocess: Preprocess,
    ) -> None:
        self._post = connection
        self._books = accounting
        self._skip_items = skip_items
        self._room = room
        self._preprocess = preprocess
        self._number = 0
        self._slots: deque[Slot] = deque()
        """The frame that comes next goes into the first."""
        self._stopped = False

    def read(self, items: Iterator[Any]) -> None:
        """Sends everything up to the end, or until it is told to finish."""
        error = None
        announced = False  # by a change of format: that frame is decoded, and counted
        try:
            while announced or self._has_room():
                start = time.monotonic()
                with self._post.busy():
                    item = next(items, None)
                if item is None or isinstance(item, End):
                    break
                announced = isinstance(item, FormatChange)
                if self._number >= self._skip_items:
                    self._send(item, StageSpan(start, time.monotonic()))
                self._number += 1
        except SourceError as failure:
            error = str(failure)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        self._post.link.send(Ended(self._number, self._snapshot(), error))

    def _send(self, item: Any, served: StageSpan) -> None:
        if isinstance(item, Gap):
            self._post.link.send(GapFound(self._number, item, self._snapshot()))
        elif isinstance(item, FormatChange):
            self._post.link.send(FormatChanged(self._number, item))
        elif isinstance(item, Frame):
            slot = self._slots.popleft()
            arrays, geometry = self._arrays(item)
            places, payload = pack(arrays, (slot.start, slot.stop), self._post.memory)
            frame = WireFrame(item.meta, geometry, places)
            message = Decoded(self._number, slot, frame, self._snapshot(), served)
            self._post.link.send(message, payload)

    def _arrays(self, frame: Frame) -> tuple[dict[Field, NDArray[Any]], Geometry | None]:
        """Gives what travels of a frame, and its geometry if that is the network's input already.

        A frame that is only padded needs no preprocess worker: it lies where the network reads.
        """
        if frame.canvas is None:
            if frame.image is None:
                return {}, None
            fault = image_fault(frame.image, frame.meta.size)
            if fault:
                raise SourceError(f"{frame.meta.stream}: frame {frame.meta.index}: {fault}")
            return {"image": frame.image}, None
        done = self._preprocess.in_place(frame)
        geometry = done.prepared.geometry if done and done.prepared else None
        return {"canvas": planes(frame.canvas)}, geometry

    def _has_room(self) -> bool:
        """Waits for a place for the next frame; false if there will be none any more."""
        self._look(0)
        while not self._slots and not self._stopped:
            self._look(_WAIT_S)
        if self._slots:
            self._room.begin((self._slots[0].start, self._slots[0].stop))
        return not self._stopped

    def _look(self, timeout_s: float) -> None:
        """Takes what the hub has sent."""
        while (got := self._post.receive(timeout_s)) is not None:
            if isinstance(got[0], Grant):
                self._slots.extend(got[0].slots)
            elif isinstance(got[0], Finish):
                self._stopped = True
            timeout_s = 0

    def _snapshot(self) -> SourceAccounting:
        return SourceAccounting.of(self._books)
