"""One stage in a process of its own: `python -m icstream.pipeline.worker KIND WHICH`.

It is started by `Processes.start`, which tells it the rest through standard input, and ends when it
is told to, or with its parent.
"""

import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import zmq
from numpy.typing import NDArray

from icstream.model import ConfigError, Scores, SourceError, StageError
from icstream.model.geometry import Fit
from icstream.pipeline.arena import ArenaView
from icstream.pipeline.link import WorkerLink, pack, unpack
from icstream.pipeline.wire import (
    Beat,
    BeginDecode,
    BeginEncode,
    Closed,
    Decoded,
    DecodeTask,
    Done,
    EncodeTask,
    Ended,
    Failed,
    Fault,
    Finish,
    FormatChanged,
    GapFound,
    Grant,
    Hello,
    Message,
    Opened,
    PreprocessTask,
    Ready,
    SegmentTask,
    Served,
    SinksOpened,
    Slot,
    SourceBooks,
    Stop,
    WarmUp,
    WireFrame,
    Work,
    Written,
    task_from_json,
    write,
)
from icstream.stages import Books, End, FormatChange, Frame, Gap, Stage

_BEAT_EVERY_S = 0.25
_WAIT_S = 0.5
_FAREWELL_S = 30.0
"""How long a worker that gave up waits to be told to end."""
_PR_SET_PDEATHSIG = 1


class Stopped(Exception):  # noqa: N818 - no error, but the way out of every loop
    """The hub has told the worker to end."""


@dataclass(slots=True)
class Post:
    """A worker's connection to the rest: its link, the shared memory, and what it is busy with."""

    link: WorkerLink
    memory: ArenaView | None
    task: str
    """What its stage is made from, as JSON."""
    busy_since: float | None = None
    _kept: deque[tuple[Any, list[zmq.Frame]]] = field(default_factory=deque)

    def receive(self, timeout_s: float = _WAIT_S) -> tuple[Any, list[zmq.Frame]] | None:
        """Gives the next message and its payload; None if none came in time.

        Raises:
            Stopped: the worker is to end.
        """
        if self._kept:
            return self._kept.popleft()
        got = self.link.receive(timeout_s)
        if got is not None and isinstance(got[0], Stop):
            raise Stopped
        return got

    def messages(self) -> Iterator[tuple[Any, list[zmq.Frame]]]:
        """Gives messages for ever."""
        while True:
            got = self.receive()
            if got is not None:
                yield got

    def expect(self, kind: "type[Expected]") -> "Expected":
        """Waits for a message of that kind; others are kept for later."""
        others: list[tuple[Any, list[zmq.Frame]]] = []
        for got in self.messages():
            if isinstance(got[0], kind):
                self._kept.extend(others)
                return got[0]
            others.append(got)
        raise AssertionError

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Marks the time that a task takes, so that one that never ends is seen."""
        self.busy_since = time.monotonic()
        try:
            yield
        finally:
            self.busy_since = None


Expected = TypeVar("Expected", bound=Message)


def decode(post: Post) -> None:
    """Reads a source; waits for room before each frame."""
    from icstream.stages.decode import open_source

    task = task_from_json(DecodeTask, post.task.encode())
    books = Books()
    num_loops, threads = task.num_loops, task.threads
    source = open_source(task.spec, books=books, threads=threads, num_loops=num_loops)
    post.link.send(Opened(source.info))
    begin = post.expect(BeginDecode)
    if begin.first_picture:
        source.__exit__(None, None, None)
        source = open_source(
            task.spec,
            books=books,
            threads=threads,
            num_loops=num_loops,
            first_picture=begin.first_picture,
        )
    with source:
        _Reader(post, books, begin.skip_items).read(iter(source))
    for _ in post.messages():
        pass


class _Reader:
    """Sends the items of a source as fast as there is room for them."""

    def __init__(self, post: Post, books: Books, skip_items: int) -> None:
        self._post = post
        self._books = books
        self._skip_items = skip_items
        self._number = 0
        self._slots: deque[Slot] = deque()
        self._stopped = False

    def read(self, items: Iterator[Any]) -> None:
        """Sends everything up to the end, or until it is told to finish."""
        error = None
        try:
            while not self._stopped:
                start = time.monotonic()
                with self._post.busy():
                    item = next(items, None)
                if item is None or isinstance(item, End):
                    break
                self._look(0)
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
            while not self._slots and not self._stopped:
                self._look(_WAIT_S)
            if not self._slots:
                self._books.dropped["stopped"] += 1
                return
            slot = self._slots.popleft()
            arrays = {} if item.picture is None else {"picture": item.picture}
            places, payload = pack(arrays, (slot.start, slot.stop), self._post.memory)
            frame = WireFrame(item.meta, None, places)
            message = Decoded(self._number, slot, frame, self._snapshot(), served)
            self._post.link.send(message, payload)

    def _look(self, timeout_s: float) -> None:
        """Takes what the hub has sent."""
        while (got := self._post.receive(timeout_s)) is not None:
            if isinstance(got[0], Grant):
                self._slots.extend(got[0].slots)
            elif isinstance(got[0], Finish):
                self._stopped = True
            timeout_s = 0

    def _snapshot(self) -> SourceBooks:
        books = self._books
        return SourceBooks(
            books.packets,
            books.decoded,
            books.missing,
            dict(books.undecodable),
            dict(books.without_picture),
            dict(books.dropped),
        )


def preprocess(post: Post) -> None:
    """Makes network inputs of pictures, for any stream."""
    from icstream.stages.preprocess import Preprocess

    task = task_from_json(PreprocessTask, post.task.encode())
    stage = Preprocess(fit=task.fit, mean_colour=task.mean_colour, keep_picture=False)
    post.link.send(Ready())
    for body, payload in post.messages():
        if isinstance(body, Work):
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
            segmenter.warm_up(got[0].size)
    post.link.send(Ready())
    for body, payload in post.messages():
        if isinstance(body, WarmUp):
            segmenter.warm_up(body.size)
        elif isinstance(body, Work):
            _serve(post, stage, body, payload)


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
            arrays: dict[str, NDArray[Any]] = {}
            geometry = None
            if made.prepared is not None:
                arrays, geometry = {"prepared": made.prepared.rgb_hw3}, made.prepared.geometry
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
    from icstream.stages.encode import Encode
    from icstream.stages.sinks import SinkContext, open_sink, restart_point

    task = task_from_json(EncodeTask, post.task.encode())
    context = SinkContext(task.folder, task.labels, task.source)
    sinks = {name: open_sink(name, context) for name in task.sinks}
    opened = list(sinks.values())
    _warm_up_upsampling(len(task.labels))
    num_done = restart_point(opened) if task.num_done is None else task.num_done
    post.link.send(SinksOpened(any(sink.wants_picture for sink in opened), num_done))
    begin = post.expect(BeginEncode)
    stage = Encode(opened, books=Books(), keep_picture=False, num_done=num_done)
    try:
        stage.go_on([(run.first, run.num_frames) for run in begin.runs], begin.last)
        for body, payload in post.messages():
            if isinstance(body, Work):
                _write(post, stage, body, payload)
            elif isinstance(body, Finish):
                with post.busy():
                    stage.close()
                parts = {name: sink.parts for name, sink in sinks.items()}
                post.link.send(Closed(stage.num_frames, parts))
    except Stopped:
        stage.close()
        raise


def _write(post: Post, stage: Any, work: Work, payload: list[zmq.Frame]) -> None:
    meta = work.frame.meta
    start = time.monotonic()
    with post.busy():
        if work.begins_part:
            list(stage.process(FormatChange(meta.stream, meta.index, "")))
        try:
            list(stage.process(unpack(work.frame, payload, post.memory)))
        except StageError as error:
            post.link.send(Failed(meta.stream, meta.index, error.reason, str(error)))
            return
    served = Served(start, time.monotonic())
    post.link.send(Written(meta.index, stage.part, stage.num_durable, served))


def _warm_up_upsampling(num_classes: int) -> None:
    """Loads the compiled loop before the first frame comes."""
    import numpy as np

    geometry = Fit().geometry((64, 64))
    height, width = ((side - 1) // 8 + 1 for side in geometry.outer)
    Scores(np.zeros((num_classes, height, width), np.float32), geometry).class_ids()


_SERVICES: dict[str, Callable[[Post], None]] = {
    "decode": decode,
    "preprocess": preprocess,
    "segment": segment,
    "encode": encode,
}


def main() -> None:
    """Runs the worker; the process ends here, whatever threads of libraries are still waiting."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the supervisor gets them too, and ends us in order
    told = json.load(sys.stdin)
    _end_with_parent(told["parent"])
    _log_as_json()
    _one_thread_each()
    name = bytes.fromhex(told["name"])
    memory = None if told["arena_fd"] is None else ArenaView(told["arena_fd"])
    post = Post(WorkerLink(told["endpoint"], name), memory, told["task"])
    post.link.send(Hello())
    threading.Thread(target=_beat, args=(post, told["endpoint"], name), daemon=True).start()
    code = 0
    try:
        _SERVICES[sys.argv[1]](post)
    except Stopped:
        pass
    except (SourceError, ConfigError, OSError) as error:
        _give_up(post, error)
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _give_up(post: Post, error: Exception) -> None:
    """Tells the hub why nothing more will come, and waits to be told to end."""
    text, kind = str(error), "config"
    if isinstance(error, SourceError):
        kind = "source"
    elif isinstance(error, OSError):
        kind = "output" if sys.argv[1] == "encode" else "source"
        text = f"{error.filename or sys.argv[2]}: {error.strerror or error}"
    post.link.send(Fault(kind, text))  # type: ignore[arg-type]
    deadline = time.monotonic() + _FAREWELL_S
    with suppress(Stopped):
        while time.monotonic() < deadline:
            post.receive()


def _beat(post: Post, endpoint: str, name: bytes) -> None:
    """Says every quarter of a second that the process lives."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.ROUTING_ID, name + b"beat")
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        number = 0
        while True:
            since = post.busy_since
            busy_s = 0.0 if since is None else time.monotonic() - since
            with suppress(zmq.Again):
                socket.send(write(number, Beat(post.link.num_sent, busy_s)), zmq.NOBLOCK)
                number += 1
            time.sleep(_BEAT_EVERY_S)


def _end_with_parent(parent: int) -> None:
    """Has the system kill this process when the supervisor ends, however that may happen."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _one_thread_each() -> None:
    import cv2

    cv2.setNumThreads(1)


def _log_as_json() -> None:
    """Writes log records as JSON lines to standard error, where the supervisor reads them."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("icstream").setLevel(logging.INFO)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return json.dumps({"log": {"name": record.name, "level": record.levelno, "text": text}})


if __name__ == "__main__":
    main()
