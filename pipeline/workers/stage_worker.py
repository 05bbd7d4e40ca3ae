"""The preprocess and segment workers: a stage for frames of any stream."""

import time
from typing import Any

import zmq
from numpy.typing import NDArray

from icstream.model import Scores, StageError
from icstream.model.planar import planes
from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.frames import SlotSpace, pack, unpack
from icstream.pipeline.wire.messages import (
    Done,
    Failed,
    Field,
    Ready,
    StageSpan,
    WarmedUp,
    WarmUp,
    Work,
)
from icstream.pipeline.wire.tasks import PreprocessTask, SegmentTask, task_from_json
from icstream.stages import Frame, Stage
from icstream.stages.preprocess import Preprocess


def preprocess_stage(task: PreprocessTask, room: SlotSpace) -> Preprocess:
    """Return the stage that makes network inputs, in the slot of the frame where it has room."""
    return Preprocess(fit=task.fit, mean_color=task.mean_color, keep_image=False, empty=room.empty)


def preprocess(connection: WorkerConnection) -> None:
    """Makes network inputs of frames, for any stream."""
    room = SlotSpace(connection.memory)
    stage = preprocess_stage(task_from_json(PreprocessTask, connection.task.encode()), room)
    connection.link.send(Ready())
    for body, payload in connection.messages():
        if isinstance(body, Work):
            room.begin(body.room)
            _serve(connection, stage, body, payload)


def segment(connection: WorkerConnection) -> None:
    """Runs the network, for any stream."""
    from icstream.stages.segment import Segment

    task = task_from_json(SegmentTask, connection.task.encode())
    segmenter = _open_segmenter(task)
    stage = Segment(segmenter)
    # What frames will come is often known by now.
    while (got := connection.receive(0)) is not None:
        if isinstance(got[0], WarmUp):
            _warm_up(connection, segmenter, got[0])
    connection.link.send(Ready())
    for body, payload in connection.messages():
        if isinstance(body, WarmUp):
            _warm_up(connection, segmenter, body)
        elif isinstance(body, Work):
            _serve(connection, stage, body, payload)


def _warm_up(connection: WorkerConnection, segmenter: Any, wish: WarmUp) -> None:
    with connection.busy():
        segmenter.warm_up(wish.size)
    connection.link.send(WarmedUp(wish.size))


def _open_segmenter(task: SegmentTask) -> Any:
    from icstream.model import Segmenter, load_weights

    return Segmenter.from_choice(load_weights(task.weights), task.choice, fit=task.fit)


def _serve(
    connection: WorkerConnection, stage: Stage, work: Work, payload: list[zmq.Frame]
) -> None:
    """Puts a frame through a stage that makes one frame of one."""
    meta = work.frame.meta
    start = time.monotonic()
    try:
        with connection.busy():
            (made,) = stage.process(unpack(work.frame, payload, connection.memory))
            assert isinstance(made, Frame)
            arrays: dict[Field, NDArray[Any]] = {}
            geometry = None
            if made.prepared is not None:
                geometry = made.prepared.geometry
                arrays = {"prepared": planes(made.prepared.rgb_hw3)}
            elif isinstance(made.result, Scores):
                arrays, geometry = {"scores": made.result.values_Khw}, made.result.geometry
            places, rest = pack(arrays, work.room, connection.memory)
    except StageError as error:
        connection.link.send(Failed(meta.stream, meta.index, error.reason, str(error)))
        return
    assert geometry is not None
    served = StageSpan(start, time.monotonic())
    connection.link.send(Done(meta.stream, meta.index, geometry, places, served), rest)
