"""The decode worker, which sends the frames of one source as slots become free."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from icstream.model import Geometry, SourceError
from icstream.model.network_input import image_fault
from icstream.model.planar import planes
from icstream.model.shown import printable
from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.frames import SlotSpace
from icstream.pipeline.wire.messages import (
    BeginDecode,
    CaughtUp,
    Decoded,
    Ended,
    FormatChanged,
    GapFound,
    Opened,
    Skipped,
    Slot,
    SourceAccounting,
    StageSpan,
    WireFrame,
)
from icstream.pipeline.wire.slot_size import SlotSize
from icstream.pipeline.wire.tasks import DecodeTask, task_from_json
from icstream.pipeline.workers.grants import NO_MEMORY, Grants
from icstream.stages import End, FormatChange, Frame, FrameAccounting, Gap, Item
from icstream.stages.items import Size
from icstream.stages.preprocess import Preprocess

_WAIT_S = 0.5


def run_decode_worker(connection: WorkerConnection) -> None:
    """Read the source of one stream, a recording or a live one."""
    task = task_from_json(DecodeTask, connection.task.encode())
    accounting = FrameAccounting()
    if task.live is None:
        _read_recording(connection, task, accounting)
    else:
        from icstream.pipeline.live.open_camera import camera_opener
        from icstream.pipeline.workers.live_decode import decode_live

        open_camera = camera_opener(task.spec, task.live.settings, accounting, threads=task.threads)
        decode_live(
            connection,
            task.spec.name,
            open_camera,
            plan=task.live,
            accounting=accounting,
            slot_size=_slot_size(task),
        )
    connection.wait_for_stop()


def _read_recording(
    connection: WorkerConnection, task: DecodeTask, accounting: FrameAccounting
) -> None:
    """Read a source that waits for its reader, waiting for a slot before each frame."""
    from icstream.stages.decode import open_source

    space = SlotSpace(connection.memory)
    open_again = partial(
        open_source,
        task.spec,
        accounting=accounting,
        threads=task.threads,
        num_loops=task.num_loops,
        empty=space.allocator("canvas"),
    )
    preprocess = Preprocess(fit=task.preprocess.fit, mean_color=task.preprocess.mean_color)
    with ExitStack() as stack:
        source = open_again()
        stack.enter_context(source)
        connection.link.send(Opened(source.info))
        begin = connection.expect(BeginDecode)
        if begin.first_image or begin.left_out:
            stack.close()
            source = open_again(first_image=begin.first_image, left_out=begin.left_out)
            stack.enter_context(source)
        grants = Grants(connection, _slot_size(task))
        reader = _RecordingReader(
            connection, accounting, begin.skip_items, space, preprocess, grants
        )
        reader.read(iter(source))


def _slot_size(task: DecodeTask) -> SlotSize:
    return SlotSize(task.preprocess.fit, task.num_classes)


class _RecordingReader:
    """Sends the items of a source as slots become free."""

    def __init__(
        self,
        connection: WorkerConnection,
        accounting: FrameAccounting,
        skip_items: int,
        space: SlotSpace,
        preprocess: Preprocess,
        grants: Grants,
    ) -> None:
        self._connection = connection
        self._accounting = accounting
        self._skip_items = skip_items
        self._space = space
        self._preprocess = preprocess
        self._grants = grants
        self._number = 0

    def read(self, items: Iterator[Item]) -> None:
        """Send everything up to the end, or until the hub needs no more frames."""
        error = None
        try:
            self._send_all(items)
        except SourceError as failure:
            error = printable(str(failure))
        finally:
            if hasattr(items, "close"):  # closing a generator counts what the decoder still held
                items.close()
        self._connection.link.send(Ended(self._number, self._accounting_now(), error))

    def _send_all(self, items: Iterator[Item]) -> None:
        announced = False  # by a change of format, whose frame is already decoded and counted
        while announced or self._has_room():
            if self._number == self._skip_items:
                self._connection.link.send(CaughtUp())
            start = time.monotonic()
            with self._connection.busy():
                item = next(items, None)
            if item is None or isinstance(item, End):
                return
            announced = isinstance(item, FormatChange)
            if self._number >= self._skip_items:
                self._send(item, StageSpan(start, time.monotonic()))
            self._number += 1

    def _send(self, item: Item, served: StageSpan) -> None:
        link = self._connection.link
        if isinstance(item, Gap):
            gap = replace(item, reason=printable(item.reason))
            link.send(GapFound(self._number, gap, self._accounting_now()))
        elif isinstance(item, FormatChange):
            link.send(FormatChanged(self._number, item))
        elif isinstance(item, Frame):
            self._send_frame(item, served)

    def _send_frame(self, item: Frame, served: StageSpan) -> None:
        link, meta, expected = self._connection.link, item.meta, self._grants.first
        slot, refusal = self._room_for(meta.size)
        if slot is None:
            reason = NO_MEMORY if refusal else "stopped"
            accounting = self._accounting_now()
            link.send(Skipped(self._number, meta.index, reason, accounting, refusal))
            return
        if slot is not expected:
            self._space.begin((slot.start, slot.stop))
        geometry = self._pack(item)
        places, payload = self._space.packed()
        frame = WireFrame(meta, geometry, places)
        link.send(Decoded(self._number, slot, frame, self._accounting_now(), served), payload)

    def _room_for(self, size: Size) -> tuple[Slot | None, str | None]:
        """Return a slot for a frame, or why there is none; neither if the frame is not needed."""
        while (slot := self._grants.take(size)) is None and not self._grants.stopped:
            self._grants.receive(_WAIT_S)
            if (refusal := self._grants.take_refusal()) is not None:
                return None, refusal
        return slot, None

    def _pack(self, frame: Frame) -> Geometry | None:
        """Put the frame into its slot; return the geometry if it is the network's input already.

        A frame that is only padded skips the preprocess workers: the network reads it in place.
        """
        if frame.canvas is None:
            if frame.image is not None:
                fault = image_fault(frame.image, frame.meta.size)
                if fault:
                    raise SourceError(f"{frame.meta.stream}: frame {frame.meta.index}: {fault}")
                self._space.copy("image", frame.image)
            return None
        prepared = self._preprocess.prepare_in_place(frame)
        if "canvas" not in self._space:  # from a source with memory of its own
            self._space.copy("canvas", planes(frame.canvas))
        return None if prepared is None else prepared.geometry

    def _has_room(self) -> bool:
        """Wait for a slot for the next frame; return False if there will be none."""
        grants = self._grants
        grants.receive(0)
        while grants.first is None and not grants.stopped:
            grants.receive(_WAIT_S)
        if grants.first is not None:
            self._space.begin((grants.first.start, grants.first.stop))
        return not grants.stopped

    def _accounting_now(self) -> SourceAccounting:
        return SourceAccounting.of(self._accounting)
