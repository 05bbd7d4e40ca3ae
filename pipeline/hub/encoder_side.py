"""The encode worker of a stream, and the frames that it writes."""

from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.dispatch import send_frame
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.losses import LossesInOrder, Surrenders
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import BeginEncode, Finish, SinksOpened, Written

_DEPTH = 2
"""Most frames that an encode worker has at once with the policy freshest, so that they stay
fresh."""


class EncoderSide:
    """The output side of a stream.

    Attributes:
        worker: The encode worker; None until a lost one is replaced.
    """

    def __init__(self, stream: StreamState, context: ControllerContext) -> None:
        self.worker: Worker | None = None
        self._stream = stream
        self._context = context
        self._losses = LossesInOrder()
        self._surrenders = Surrenders()
        self._furthest = -1
        """Index of the last frame written to all sinks, including those of lost workers."""

    @property
    def ready(self) -> Worker | None:
        """The encode worker, if it is ready for frames."""
        return self.worker if self.worker is not None and self.worker.ready else None

    @property
    def has_room(self) -> bool:
        """Whether the encode worker may get another frame.

        Close to a frame where workers were lost, it gets one frame at a time.
        """
        order = self._stream.leases.order
        if self._losses.calls_for_caution(self._furthest + 1):
            return not order.num_unwritten
        return not self._stream.plan.freshest or order.num_unwritten < _DEPTH

    @property
    def is_stuck(self) -> bool:
        """Whether all frames in flight are held by sinks.

        A sink releases frames when it receives further ones.
        """
        leases = self._stream.leases
        return leases.all_at_writer() and not leases.order.num_unwritten

    def start(self) -> None:
        """Start an encode worker, which continues where a lost one stopped.

        Raises:
            OSError: The system cannot start another process.
        """
        stream = self._stream
        if stream.leases.num_ordered:
            num_done: int | None = max(stream.num_done, stream.leases.durable.count)
        else:
            num_done = None if stream.resumes else 0
        self.worker = stream.start_encode(num_done)

    def open(self, body: SinksOpened) -> None:
        """Record that the sinks are open, and send the frames of a lost encode worker again."""
        assert self.worker is not None
        stream = self._stream
        self.worker.ready = True
        stream.wants_image = body.wants_image
        if stream.phase is Phase.OPENING:
            stream.resume(body.num_done)
        stream.leases.take_from_writer(body.num_done)
        durable = stream.leases.durable
        self._context.send(self.worker, BeginEncode(list(durable.runs), durable.last))

    def send_frames(self) -> None:
        """Send frames in order, and after the last one have the files closed."""
        stream, encoder = self._stream, self.ready
        if encoder is None or stream.phase >= Phase.CLOSING:
            return
        while self.has_room and (lease := stream.leases.next_to_write()) is not None:
            fields = ["scores", *(("image", "canvas") if stream.wants_image else ())]
            send_frame(self._context.send, encoder, lease, [] if lease.done_before else fields)
        if stream.phase is Phase.DRAINING and stream.leases.all_at_writer():
            self.finish()

    def finish(self) -> bool:
        """Ask the encode worker to close its files; return False if there is none."""
        encoder = self.ready
        if encoder is None:
            return False
        self._stream.phase = Phase.CLOSING
        self._context.send(encoder, Finish())
        return True

    def take_written(self, body: Written) -> list[Lease]:
        """Record that all sinks have a frame, and return the leases that are released by it."""
        if body.index > self._furthest and self.worker is not None:
            self._furthest = body.index
            self._surrenders.clear()
            self.worker.gain()
        self._stream.leases.mark_written(body.index, body.part, body.served)
        return self.release(body.num_durable)

    def release(self, num_durable: int) -> list[Lease]:
        """Record the number of durable frames, and return the leases that are released by it."""
        released = self._stream.leases.release(num_durable)
        self._stream.accounting.encoded = num_durable
        return released

    def lose(self, lost: LostWorker) -> Lease | None:
        """Record that the encode worker is lost; the next one writes its frames again.

        Returns:
            The frame to abandon because workers are repeatedly lost at it, or None.
        """
        self.worker = None
        if self._stream.phase is Phase.CLOSING:
            self._stream.phase = Phase.DRAINING
        at = self._stream.leases.order.first_unwritten
        if not lost.worker.ready or at is None:
            return None
        if not self._losses.add(at.meta.index, crashed=lost.crashed).are_too_many:
            return None
        self._surrenders.add(lost.worker)
        return at
