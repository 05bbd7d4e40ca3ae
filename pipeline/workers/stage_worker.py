"""The preprocess and segment workers, which apply a stage to frames of any stream."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import zmq

from icstream.model import ConfigError, Geometry, StageError
from icstream.model.planar import planes
from icstream.model.shown import printable
from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.frames import SlotSpace, unpack_frame, unpack_prepared
from icstream.pipeline.wire.messages import (
    Done,
    Failed,
    Ready,
    StageSpan,
    WarmedUp,
    WarmUp,
    WireFrame,
    Work,
)
from icstream.pipeline.wire.shared_memory import ArenaView
from icstream.pipeline.wire.tasks import PreprocessTask, SegmentTask, task_from_json
from icstream.stages import Frame, FrameStage, PreparedFrame, ScoredFrame
from icstream.stages.preprocess import Preprocess

if TYPE_CHECKING:
    from icstream.model import Segmenter

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class StageWorker(Generic[Given, Made]):
    """Applies a stage to the frames that the hub sends, and returns the results."""

    connection: WorkerConnection
    space: SlotSpace
    """Memory for the stage's results."""
    stage: FrameStage[Given, Made]
    unpack: Callable[[WireFrame, Sequence[zmq.Frame], ArenaView | None], Given]
    pack: Callable[[SlotSpace, Made], Geometry]
    """Function that copies results not created in the space into it, and returns the geometry."""

    def process(self, work: Work, payload: Sequence[zmq.Frame]) -> None:
        """Process one frame; a `StageError` fails this frame only."""
        meta = work.frame.meta
        start = time.monotonic()
        self.space.begin(work.room)
        try:
            with self.connection.busy():
                made = self.stage.process(self.unpack(work.frame, payload, self.connection.memory))
                geometry = self.pack(self.space, made)
        except StageError as error:
            self.connection.link.send(
                Failed(meta.stream, meta.index, error.reason, printable(str(error)))
            )
            return
        places, rest = self.space.packed()
        served = StageSpan(start, time.monotonic())
        self.connection.link.send(Done(meta.stream, meta.index, geometry, places, served), rest)


def run_preprocess_worker(connection: WorkerConnection) -> None:
    """Prepare network inputs from frames of any stream."""
    worker = preprocess_worker(connection, task_from_json(PreprocessTask, connection.task.encode()))
    connection.link.send(Ready())
    for body, payload in connection.messages():
        if isinstance(body, Work):
            worker.process(body, payload)


def run_segment_worker(connection: WorkerConnection) -> None:
    """Run the network on frames of any stream."""
    segmenter = _open_segmenter(task_from_json(SegmentTask, connection.task.encode()))
    worker = segment_worker(connection, segmenter)
    segmenter.max_sizes = None  # the hub limits the sizes by memory
    connection.link.send(Ready())
    for body, payload in connection.messages():
        if isinstance(body, WarmUp):
            _warm_up(connection, segmenter, body)
        elif isinstance(body, Work):
            worker.process(body, payload)


def preprocess_worker(
    connection: WorkerConnection, task: PreprocessTask
) -> StageWorker[Frame, PreparedFrame]:
    """Return the worker that prepares inputs, in the slot of the frame if there is room."""
    space = SlotSpace(connection.memory)
    stage = Preprocess(fit=task.fit, mean_color=task.mean_color, empty=space.allocator("prepared"))
    return StageWorker(connection, space, stage, unpack_frame, pack_prepared)


def segment_worker(
    connection: WorkerConnection, segmenter: "Segmenter"
) -> StageWorker[PreparedFrame, ScoredFrame]:
    """Return the worker that runs the network."""
    from icstream.stages.segment import Segment

    space = SlotSpace(connection.memory)
    return StageWorker(connection, space, Segment(segmenter), unpack_prepared, pack_scores)


def pack_prepared(space: SlotSpace, frame: PreparedFrame) -> Geometry:
    """Return the frame's geometry; its input was created in the space."""
    if "prepared" not in space:  # prepared in place
        space.copy("prepared", planes(frame.network_input))
    return frame.geometry


def pack_scores(space: SlotSpace, frame: ScoredFrame) -> Geometry:
    """Copy the frame's scores into the space, and return its geometry."""
    # The only copy of scores: the segmenter overwrites its own with those of the next frame.
    space.copy("scores", frame.scores.values_Khw)
    return frame.scores.geometry


def _warm_up(connection: WorkerConnection, segmenter: "Segmenter", request: WarmUp) -> None:
    with connection.busy():
        for input_size in request.forget:
            segmenter.forget(input_size)
        segmenter.warm_up(request.size)
    connection.link.send(WarmedUp(request.size))


def _open_segmenter(task: SegmentTask) -> "Segmenter":
    from icstream.model import CheckpointError, Segmenter, load_weights

    held = task.weights_fd
    digest = None
    with suppress(CheckpointError):
        checkpoint = load_weights(task.weights if held is None else f"/proc/self/fd/{held}")
        digest = checkpoint.digest()
    if digest != task.digest:
        raise ConfigError(
            f"weights {task.weights}: overwritten since the run began, and one run has masks of one"
            " network; keep a copy for it, and go on with --resume or begin anew"
        )
    return Segmenter.from_choice(checkpoint, task.choice, fit=task.fit)
