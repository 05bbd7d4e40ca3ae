"""The encode worker, which writes the frames of one stream to its sinks."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import zmq

from icstream.model import Fit, Scores, StageError
from icstream.model.shown import printable
from icstream.pipeline.wire.connection import Stopped, WorkerConnection
from icstream.pipeline.wire.frames import unpack_scored
from icstream.pipeline.wire.messages import (
    BeginEncode,
    Closed,
    Failed,
    Finish,
    SinksOpened,
    StageSpan,
    Work,
    Written,
)
from icstream.pipeline.wire.tasks import EncodeTask, task_from_json
from icstream.stages import FrameAccounting, SegmentedFrame

if TYPE_CHECKING:
    from icstream.stages.encode import Encode
    from icstream.stages.sinks import Sink


def run_encode_worker(connection: WorkerConnection) -> None:
    """Write the frames of one stream to its sinks."""
    from icstream.stages.encode import Encode
    from icstream.stages.sinks import restart_point

    task = task_from_json(EncodeTask, connection.task.encode())
    sinks = _open_sinks(task)
    opened = list(sinks.values())
    _warm_up_loops(task)
    num_done = restart_point(opened) if task.num_done is None else task.num_done
    stage = Encode(opened, accounting=FrameAccounting(), num_done=num_done)
    wants_image = task.view is not None or stage.wants_image
    connection.link.send(SinksOpened(wants_image, num_done))
    begin = connection.expect(BeginEncode)
    show = _open_view(task)
    try:
        with connection.busy():  # it scans all existing files
            stage.resume([(run.first, run.num_frames) for run in begin.runs], begin.last)
        for body, payload in connection.messages():
            if isinstance(body, Work):
                _write_frame(connection, stage, body, payload, show)
            elif isinstance(body, Finish):
                with connection.busy():
                    stage.close()
                parts = {name: sink.parts for name, sink in sinks.items()}
                connection.link.send(Closed(stage.num_frames, parts))
    except (Stopped, OSError):
        with suppress(OSError):
            stage.close()
        connection.parts.update({name: sink.parts for name, sink in sinks.items()})
        raise


def _open_sinks(task: EncodeTask) -> "dict[str, Sink]":
    from icstream.pipeline.publish.sink import publish_sink
    from icstream.stages.sinks import SinkContext, open_sink

    context = SinkContext(
        folder=task.folder,
        labels=task.labels,
        source=task.source,
        rolling=task.rolling,
        events=task.events,
    )
    extra_sinks = publish_sink(task.publish, task.masks)
    return {
        name: open_sink(
            name,
            replace(context, settings=task.settings.get(name, {})),
            extra_sinks=extra_sinks,
        )
        for name in task.sinks
    }


def _open_view(task: EncodeTask) -> Callable[[SegmentedFrame], None]:
    """Return a function that offers a frame to the view, if there is one."""
    if task.view is None:
        return lambda _: None
    from icstream.pipeline.view.frame_sender import FrameSender

    return FrameSender(task.view, task.folder.name, max_side=task.max_side).offer


def _write_frame(
    connection: WorkerConnection,
    stage: "Encode",
    work: Work,
    payload: list[zmq.Frame],
    show: Callable[[SegmentedFrame], None],
) -> None:
    meta = work.frame.meta
    start = time.monotonic()
    with connection.busy():
        if work.begins_part:
            stage.begin_part()
        if stage.next_is_done:
            stage.skip(meta)
        else:
            try:
                frame = stage.process(unpack_scored(work.frame, payload, connection.memory))
            except StageError as error:
                connection.link.send(
                    Failed(meta.stream, meta.index, error.reason, printable(str(error)))
                )
                return
            show(frame)
    served = StageSpan(start, time.monotonic())
    connection.link.send(Written(meta.index, stage.part, stage.num_durable, served))


def _warm_up_loops(task: EncodeTask) -> None:
    """Load the compiled loops before the first frame arrives."""
    import numpy as np

    from icstream.stages.sinks.ffv1 import ffv1_encoder

    geometry = Fit().geometry((64, 64))
    height, width = ((side - 1) // 8 + 1 for side in geometry.outer)
    Scores(np.zeros((len(task.labels), height, width), np.float32), geometry).class_ids()
    if {"masks", "rolling"}.intersection(task.sinks):
        ffv1_encoder(geometry.outer)
