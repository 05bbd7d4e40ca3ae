"""The preprocess and segment workers: a stage for frames of any stream."""

import time
from typing import Any

import zmq
from numpy.typing import NDArray

from icstream.model import Scores, StageError
from icstream.model.planar import planes
from icstream.pipeline.wire.connection import Post
from icstream.pipeline.wire.frames import Room, pack, unpack
from icstream.pipeline.wire.messages import (
    Done,
    Failed,
    Field,
    Ready,
    Served,
    Warm,
    WarmUp,
    Work,
)
from icstream.pipeline.wire.tasks import PreprocessTask, SegmentTask, task_from_json
from icstream.stages import Frame, Stage
from icstream.stages.preprocess import Preprocess


def preprocess_stage(task: PreprocessTask, room: Room) -> Preprocess:
    """Return the stage that makes network inputs, in the slot of the frame where it has room."""
    return Preprocess(
        fit=task.fit, mean_colour=task.mean_colour, keep_picture=False, empty=room.empty
    )


def preprocess(post: Post) -> None:
    """Makes network inputs of pictures, for any stream."""
    room = Room(post.memory)
    stage = preprocess_stage(task_from_json(PreprocessTask, post.task.encode()), room)
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
