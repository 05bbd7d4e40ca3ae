"""What each kind of worker does: a stage between the messages that come and those that go."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import zmq
from numpy.typing import NDArray

from icstream.model import Fit, Geometry, Scores, SourceError, StageError
from icstream.model.planes import planes
from icstream.model.prepare import picture_fault
from icstream.pipeline.letters import (
    DecodeTask,
    EncodeTask,
    PreprocessTask,
    SegmentTask,
    task_from_json,
)
from icstream.pipeline.link import Room, pack, unpack
from icstream.pipeline.post import Post, Stopped
from icstream.pipeline.wire import (
    BeginDecode,
    BeginEncode,
    Closed,
    Decoded,
    Done,
    Ended,
    Failed,
    Field,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    Opened,
    Ready,
    Served,
    SinksOpened,
    Slot,
    SourceBooks,
    Warm,
    WarmUp,
    WireFrame,
    Work,
    Written,
)
from icstream.stages import Books, End, FormatChange, Frame, Gap, Stage
from icstream.stages.preprocess import Preprocess

_WAIT_S = 0.5


def decode(post: Post) -> None:
    """Reads a source; waits for room before each frame."""
    from icstream.stages.decode import open_source

    task = task_from_json(DecodeTask, post.task.encode())
    books = Books()
    if task.live is not None:
        from icstream.pipeline.live_cameras import camera_opener
        from icstream.pipeline.live_decode import decode_live

        decode_live(post, task, camera_opener(task.spec, task.live.options, books), books)
        return
    room = Room(post.memory)
    open_it = partial(
        open_source,
        task.spec,
        books=books,
        threads=task.threads,
        num_loops=task.num_loops,
        empty=room.empty,
    )
    source = open_it()
    post.link.send(Opened(source.info))
    begin = post.expect(BeginDecode)
    if begin.first_picture:
        source.__exit__(None, None, None)
        source = open_it(first_picture=begin.first_picture)
    stage = _preprocess_stage(task.preprocess, room)
    with source:
        _Reader(post, books, begin.skip_items, room, stage).read(iter(source))
    for _ in post.messages():
        pass


def _preprocess_stage(task: PreprocessTask, room: Room) -> Preprocess:
    return Preprocess(
        fit=task.fit, mean_colour=task.mean_colour, keep_picture=False, empty=room.empty
    )


class _Reader:
    """Sends the items of a source as fast as there is room for them."""

    def __init__(
        self, post: Post, books: Books, skip_items: int, room: Room, preprocess: Preprocess
    ) -> None:
        self._post = post
        self._books = books
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
                    self._send(item, Served(start, time.monotonic()))
                self._number += 1
        except SourceError as failure:
            error = str(failure)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        self._post.link.send(Ended(self._number, self._snapshot(), error))

    def _send(self, item: Any, served: Served) -> None:
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

        A picture that is only padded needs no preprocess worker: it lies where the network reads.
        """
        if frame.canvas is None:
            if frame.picture is None:
                return {}, None
            fault = picture_fault(frame.picture, frame.meta.size)
            if fault:
                raise SourceError(f"{frame.meta.stream}: frame {frame.meta.index}: {fault}")
            return {"picture": frame.picture}, None
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

    def _snapshot(self) -> SourceBooks:
        return SourceBooks.of(self._books)


def preprocess(post: Post) -> None:
    """Makes network inputs of pictures, for any stream."""
    room = Room(post.memory)
    stage = _preprocess_stage(task_from_json(PreprocessTask, post.task.encode()), room)
    post.link.send(Ready())
    for body, payload in post.messages():
        if isinstance(body, Work):
            room.begin(body.room)
            _serve(post, stage, body, payload)


def segment(post: Post) -> None:
    """Runs the network, for any stream."""
    from icstream.stages.segment import Segment

    task = task_from_json(SegmentTask, post.task.encode())
    segmenter = _open_segmenter(task)
    stage = Segment(segmenter)
    # What pictures will come is often known by now.
    while (got := post.receive(0)) is not None:
        if isinstance(got[0], WarmUp):
            _warm_up(post, segmenter, got[0])
    post.link.send(Ready())
    for body, payload in post.messages():
        if isinstance(body, WarmUp):
            _warm_up(post, segmenter, body)
        elif isinstance(body, Work):
            _serve(post, stage, body, payload)


def _warm_up(post: Post, segmenter: Any, wish: WarmUp) -> None:
    with post.busy():
        segmenter.warm_up(wish.size)
    post.link.send(Warm(wish.size))


def _open_segmenter(task: SegmentTask) -> Any:
    from icstream.model import Segmenter, load_weights

    return Segmenter(
        load_weights(task.weights),
        runtime=task.runtime,  # type: ignore[arg-type]  # it was chosen from the same list
        device=task.device,
        precision=task.precision,  # type: ignore[arg-type]
        threads=task.threads,
        fit=task.fit,
    )


def _serve(post: Post, stage: Stage, work: Work, payload: list[zmq.Frame]) -> None:
    """Puts a frame through a stage that makes one frame of one."""
    meta = work.frame.meta
    start = time.monotonic()
    try:
        with post.busy():
            (made,) = stage.process(unpack(work.frame, payload, post.memory))
            assert isinstance(made, Frame)
            arrays: dict[Field, NDArray[Any]] = {}
            geometry = None
            if made.prepared is not None:
                geometry = made.prepared.geometry
                arrays = {"prepared": planes(made.prepared.rgb_hw3)}
            elif isinstance(made.result, Scores):
                arrays, geometry = {"scores": made.result.values_Khw}, made.result.geometry
            places, rest = pack(arrays, work.room, post.memory)
    except StageError as error:
        post.link.send(Failed(meta.stream, meta.index, error.reason, str(error)))
        return
    assert geometry is not None
    served = Served(start, time.monotonic())
    post.link.send(Done(meta.stream, meta.index, geometry, places, served), rest)


def encode(post: Post) -> None:
    """Writes the frames of one stream to its sinks."""
    from icstream.pipeline.publish import SINKS
    from icstream.stages.encode import Encode
    from icstream.stages.sinks import SinkContext, open_sink, restart_point

    task = task_from_json(EncodeTask, post.task.encode())
    context = SinkContext(task.folder, task.labels, task.source)
    sinks = {
        name: open_sink(name, replace(context, settings=task.settings.get(name, {})), further=SINKS)
        for name in task.sinks
    }
    opened = list(sinks.values())
    _warm_up_loops(task)
    num_done = restart_point(opened) if task.num_done is None else task.num_done
    wants_picture = task.view is not None or any(sink.wants_picture for sink in opened)
    post.link.send(SinksOpened(wants_picture, num_done))
    begin = post.expect(BeginEncode)
    stage = Encode(opened, books=Books(), keep_picture=task.view is not None, num_done=num_done)
    show = _open_showcase(task)
    try:
        with post.busy():  # it looks through all files that are there
            stage.go_on([(run.first, run.num_frames) for run in begin.runs], begin.last)
        for body, payload in post.messages():
            if isinstance(body, Work):
                _write(post, stage, body, payload, show)
            elif isinstance(body, Finish):
                with post.busy():
                    stage.close()
                parts = {name: sink.parts for name, sink in sinks.items()}
                post.link.send(Closed(stage.num_frames, parts))
    except (Stopped, OSError):
        with suppress(OSError):
            stage.close()
        post.parts.update({name: sink.parts for name, sink in sinks.items()})
        raise


def _open_showcase(task: EncodeTask) -> Callable[[Frame], None]:
    """Gives what shows a frame to those who look."""
    if task.view is None:
        return lambda _: None
    from icstream.pipeline.view.showcase import Showcase

    return Showcase(task.view, task.folder.name, max_side=task.max_side).offer


def _write(
    post: Post,
    stage: Any,
    work: Work,
    payload: list[zmq.Frame],
    show: Callable[[Frame], None],
) -> None:
    meta = work.frame.meta
    start = time.monotonic()
    with post.busy():
        if work.begins_part:
            list(stage.process(FormatChange(meta.stream, meta.index, "")))
        try:
            (frame,) = stage.process(unpack(work.frame, payload, post.memory))
        except StageError as error:
            post.link.send(Failed(meta.stream, meta.index, error.reason, str(error)))
            return
        show(frame)
    served = Served(start, time.monotonic())
    post.link.send(Written(meta.index, stage.part, stage.num_durable, served))


def _warm_up_loops(task: EncodeTask) -> None:
    """Loads the compiled loops before the first frame comes."""
    import numpy as np

    from icstream.stages.sinks.ffv1 import ffv1_encoder

    geometry = Fit().geometry((64, 64))
    height, width = ((side - 1) // 8 + 1 for side in geometry.outer)
    Scores(np.zeros((len(task.labels), height, width), np.float32), geometry).class_ids()
    if {"masks", "rolling"}.intersection(task.sinks):
        ffv1_encoder(geometry.outer)


def view(post: Post) -> None:
    """Shows the run in browsers, and its figures to whoever may ask."""
    from icstream.pipeline.view.service import serve

    serve(post)


def publish(post: Post) -> None:
    """Hands masks on to subscribers."""
    from icstream.pipeline.publish import forward

    forward(post)


SERVICES: dict[str, Callable[[Post], None]] = {
    "decode": decode,
    "preprocess": preprocess,
    "segment": segment,
    "encode": encode,
    "view": view,
    "publish": publish,
}
