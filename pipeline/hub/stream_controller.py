"""The control of one active stream, from its decoder to its sinks."""

import time
from collections.abc import Callable
from typing import Any

import zmq

from icstream.model.geometry import pixel_fault
from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.decoder_side import DecoderSide
from icstream.pipeline.hub.encoder_side import EncoderSide
from icstream.pipeline.hub.frames_in_flight import FramesInFlight
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import (
    CaughtUp,
    Closed,
    Decoded,
    Ended,
    Failed,
    FormatChanged,
    GapFound,
    NeedRoom,
    Opened,
    SinksOpened,
    Skipped,
    SourceChanged,
    Stop,
    WireError,
    Written,
)

Side = DecoderSide | EncoderSide


class StreamController:
    """Moves the frames of one stream from its decoder to its sinks.

    Attributes:
        stream: The state of the stream.
        frames: Removal of its frames in flight.
    """

    def __init__(self, stream: StreamState, context: ControllerContext) -> None:
        """Start the stream's workers.

        Raises:
            OSError: The system cannot start another process.
        """
        self.stream = stream
        self._context = context
        self._decoder = DecoderSide(stream, context)
        self._encoder = EncoderSide(stream, context)
        self.frames = FramesInFlight(stream, context, self._decoder)
        self._sides: dict[str, Side] = {"decode": self._decoder, "encode": self._encoder}
        self._handlers: dict[str, dict[type, Callable[[Any, list[zmq.Frame]], None]]] = {
            "decode": {
                Opened: self._take_opened,
                CaughtUp: self._decoder.losses.take_caught_up,
                Decoded: self._take_decoded,
                Skipped: self._decoder.take_skipped,
                NeedRoom: self._decoder.take_need,
                GapFound: self._decoder.take_gap,
                FormatChanged: self._decoder.take_format_change,
                SourceChanged: lambda body, _: stream.source.note_change(body),
                Ended: self._take_ended,
            },
            "encode": {
                SinksOpened: self._take_sinks_opened,
                Written: self._take_written,
                Failed: self._take_failed,
                Closed: self._take_closed,
            },
        }
        stream.started_s = time.monotonic()
        for side in self._sides.values():
            side.start()

    def owns(self, worker: Worker) -> bool:
        """Return whether a worker is one of the stream's own."""
        return worker is self._decoder.worker or worker is self._encoder.worker

    def take(self, worker: Worker, body: Any, payload: list[zmq.Frame]) -> None:
        """Handle a message from one of the stream's own workers."""
        handler = self._handlers[worker.kind].get(type(body))
        if handler is None:
            raise WireError(f"{worker.label} sent {type(body).__name__}")
        handler(body, payload)

    def tick(self) -> None:
        """Do periodic work; called several times per second."""
        stream = self.stream
        stream.source.watch()
        self._begin()
        self._decoder.refill()
        if stream.plan.freshest:
            self.frames.drop_stale(encoder_has_room=self._encoder.has_room)
        if stream.is_due_to_stop:
            self.end(to=Phase.STOPPING)

    def send_to_encoder(self) -> None:
        """Send the encode worker the frames that are next in order."""
        self._encoder.send_frames()

    def lose(self, lost: LostWorker) -> None:
        """Record that one of the stream's own workers is lost."""
        if lost.worker.kind == "encode":
            if (failed := self._encoder.lose(lost)) is not None:
                self.frames.fail(failed, "encode crashed", str(lost))
        elif (reason := self._decoder.lose(lost)) is not None:
            self.end(reason, to=Phase.DRAINING, broken=True)
        elif self.stream.phase is Phase.STOPPING:
            self.stream.phase = Phase.DRAINING

    def needs(self, kind: str) -> bool:
        """Return whether the stream lacks one of its own workers."""
        end = Phase.DRAINING if kind == "decode" else Phase.CLOSED
        return self._sides[kind].worker is None and self.stream.phase < end

    def replace(self, kind: str) -> None:
        """Start a worker in place of a lost one."""
        self._sides[kind].start()

    def end(self, error: str | None = None, *, to: Phase, broken: bool = False) -> None:
        """End the stream by moving it at least to a phase.

        Args:
            error: The reason, if the stream ends early.
            to: STOPPING lets the decoder send frames that it has begun. DRAINING lets no more
                frames
                in. CLOSING drops frames that the encode worker does not have, and closes the files.
                CLOSED drops all frames in flight. A stream without any frames is closed in any
                case.
            broken: Whether its workers or sinks are the reason, and not its source.
        """
        stream = self.stream
        if stream.phase is Phase.CLOSED:
            return
        stream.broken = stream.broken or broken
        stream.note_error(error)
        if stream.phase >= to:
            return
        if to is Phase.CLOSED or stream.phase is Phase.OPENING:
            self._close()
        elif to is Phase.CLOSING:
            self._abort()
        elif to is Phase.STOPPING and self._decoder.finish():
            stream.phase = Phase.STOPPING
        else:
            stream.phase = Phase.DRAINING

    def _abort(self) -> None:
        """Drop frames that the encode worker does not have, and have it close its files."""
        self.stream.phase = Phase.DRAINING
        self.frames.drop_unwritten()
        if not self._encoder.finish():
            self._close()

    def _close(self) -> None:
        """Drop all frames in flight, check the accounting, and end the stream's workers."""
        stream = self.stream
        stream.phase = Phase.CLOSED
        slots = [*self._decoder.end(), *self.frames.drop_all()]
        stream.source.end()
        stream.leases.close(stream.accounting.decoded)
        workers = [side.worker for side in self._sides.values() if side.worker is not None]
        for side in self._sides.values():
            side.worker = None  # their messages are ignored from now on
        for worker in workers:
            worker.end()
            self._context.send(worker, Stop())
        # The workers may use their slots until their processes are gone.
        self._context.slots.retire(slots, workers)
        assert stream.started_s is not None
        stream.wall_s = time.monotonic() - stream.started_s

    def _begin(self) -> None:
        self._decoder.begin(encoder_ready=self._encoder.ready is not None)

    def _take_opened(self, body: Opened, _: list[zmq.Frame]) -> None:
        if (reason := pixel_fault(body.info.size)) is not None:
            self.end(f"{self.stream.spec.given}: {reason}", to=Phase.DRAINING)
            return
        self._decoder.open(body)
        self._begin()

    def _take_decoded(self, body: Decoded, payload: list[zmq.Frame]) -> None:
        lease = self._decoder.take_frame(body, payload)
        if not lease.done_before:
            self._context.pools.add(self.stream, lease)
        self._decoder.grant()
        if self.stream.plan.freshest and self._decoder.is_full:
            self.frames.drop_oldest()

    def _take_ended(self, body: Ended, _: list[zmq.Frame]) -> None:
        self.stream.take_accounting(body.accounting)
        self.stream.note_error(body.error)
        # The encode worker exists even if a live source ended before its first frame.
        self.stream.phase = max(self.stream.phase, Phase.DRAINING)

    def _take_sinks_opened(self, body: SinksOpened, _: list[zmq.Frame]) -> None:
        self._encoder.open(body)
        self._begin()

    def _take_written(self, body: Written, _: list[zmq.Frame]) -> None:
        self._release(self._encoder.take_written(body))
        num_frames, reading = len(self.stream.leases), self.stream.phase < Phase.DRAINING
        if reading and self._encoder.is_stuck and self._decoder.is_used_up_by(num_frames):
            error = _why_stuck(self.stream.name, num_frames, window=self._context.window)
            self.end(error, to=Phase.CLOSED, broken=True)

    def _take_failed(self, body: Failed, _: list[zmq.Frame]) -> None:
        lease = self.stream.leases.get(body.index)
        if lease is not None:
            self.frames.fail(lease, body.reason, body.detail)

    def _take_closed(self, body: Closed, _: list[zmq.Frame]) -> None:
        self._release(self._encoder.release(body.num_frames))
        self.stream.parts = body.parts
        self.end(to=Phase.CLOSED)

    def _release(self, leases: list[Lease]) -> None:
        """Release frames that have become durable."""
        for lease in leases:
            self.stream.latency.add(lease)
            self._context.on_frame(self.stream, lease)
            self.frames.release_slot(lease)


def _why_stuck(name: str, num_frames: int, *, window: int) -> str:
    setting = "memory_mb" if num_frames < window else "window"
    return (
        f"{name}: a sink holds the last {num_frames} frames, the most that may be in flight;"
        f" increase pipeline.{setting}"
    )
