"""The messages between hub and workers, which are typed, checked on arrival and never pickled.

A message consists of a header (`headers.py`) and the pixels that are not in shared memory, each as
a
frame of ZeroMQ.
"""

from fractions import Fraction
from math import prod
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from icstream.model import Geometry
from icstream.stages import FormatChange, FrameAccounting, FrameMeta, Gap
from icstream.stages.decode.left_out import LeftOut
from icstream.stages.decode.source import SourceInfo
from icstream.stages.live import ReadingState
from icstream.stages.sinks.sink import Part

MAX_BYTES = 2**30
"""Largest array in bytes; larger ones are rejected before anything is allocated for them."""

_ITEM_BYTES = {"uint8": 1, "float32": 4}


class WireError(Exception):
    """A message that is damaged, of another version, or unexpected."""


Field: TypeAlias = Literal["image", "canvas", "prepared", "scores"]
"""Names of arrays: image and scores are as in a `Frame`; canvas and prepared are planes (3, h,
w)."""
DType: TypeAlias = Literal["uint8", "float32"]


class Pixels(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The location of an array of a frame."""

    field: Field
    dtype: DType
    shape: tuple[int, ...]
    offset: int | None
    """Offset in the shared memory; None if the array follows the header, in order."""

    def __post_init__(self) -> None:
        if min(self.shape, default=0) < 1 or len(self.shape) != 3 or self.num_bytes > MAX_BYTES:
            raise ValueError(f"an array of shape {self.shape} is not allowed")
        if self.offset is not None and self.offset < 0:
            raise ValueError(f"an array at {self.offset} is not allowed")

    @property
    def num_bytes(self) -> int:
        """The size in bytes."""
        return prod(self.shape) * _ITEM_BYTES[self.dtype]

    def view(self, memory: Any, offset: int = 0) -> "np.ndarray[Any, Any]":
        """Return the array at `offset` of a buffer, without copying."""
        return np.ndarray(self.shape, self.dtype, memory, offset)


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base class of all messages."""


class WireFrame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A `Frame` without its pixels."""

    meta: FrameMeta
    geometry: Geometry | None = None
    """Geometry of `prepared` and `scores`; if both are absent, the canvas is the network's
    input."""
    arrays: tuple[Pixels, ...] = ()


class Slot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Memory for all arrays of one frame, and the right to have that frame in flight."""

    number: int
    start: int = 0
    stop: int = 0
    """End of the half-open range in the shared memory, which is empty if pixels travel in
    messages."""
    num_bytes: int = 0
    """Number of bytes reserved for the arrays, wherever they are."""


class SourceAccounting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The decoder's part of a stream's accounting."""

    packets: int
    in_decoder: int
    decoded: int
    missing: int
    undecodable: dict[str, int]
    without_frame: dict[str, int]
    noted: dict[str, int] = {}
    cut_short: str | None = None
    left_out: dict[str, int] = {}

    @classmethod
    def of(cls, accounting: FrameAccounting) -> "SourceAccounting":
        """Return a copy of the present counts."""
        return cls(
            accounting.packets,
            accounting.in_decoder,
            accounting.decoded,
            accounting.missing,
            dict(accounting.undecodable),
            dict(accounting.without_frame),
            dict(accounting.noted),
            accounting.cut_short,
            dict(accounting.left_out),
        )

    def write_to(self, accounting: FrameAccounting) -> None:
        """Write the counts into an accounting."""
        accounting.packets, accounting.in_decoder = self.packets, self.in_decoder
        accounting.decoded, accounting.missing = self.decoded, self.missing
        accounting.cut_short = self.cut_short
        for counter, counts in (
            (accounting.undecodable, self.undecodable),
            (accounting.without_frame, self.without_frame),
            (accounting.noted, self.noted),
            (accounting.left_out, self.left_out),
        ):
            counter.clear()
            counter.update(counts)

    def closed(self) -> "SourceAccounting":
        """Return the counts of an abandoned decoder; its remaining packets have no frame."""
        if not self.in_decoder:
            return self
        without_frame = dict(self.without_frame)
        without_frame["stopped"] = without_frame.get("stopped", 0) + self.in_decoder
        return msgspec.structs.replace(self, in_decoder=0, without_frame=without_frame)


class StageSpan(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The time span of a stage's work on a frame, in seconds of the monotonic clock."""

    start: float
    stop: float


class Heartbeat(Message, frozen=True):
    """A sign that the process is alive, sent by its own thread over its own socket."""

    num_sent: int
    """Number of messages that the worker has sent over its link."""
    num_received: int
    """Number of messages that the worker has read."""
    busy_s: float
    """Seconds that it has spent on its present task; 0 if it is waiting for one."""


class Connected(Message, frozen=True):
    """A worker has started and will soon be ready; it can already be warmed up."""


class Ready(Message, frozen=True):
    """A preprocess or segment worker is ready for frames."""


class WarmedUp(Message, frozen=True):
    """A segment worker is prepared for images of (height, width)."""

    size: tuple[int, int]


class Opened(Message, frozen=True):
    """A decode worker has opened its source."""

    info: SourceInfo


class CaughtUp(Message, frozen=True):
    """A decode worker has read past the frames received from earlier workers."""


class SinksOpened(Message, frozen=True):
    """An encode worker has opened its sinks."""

    wants_image: bool
    num_done: int
    """Number of frames that are complete in every sink's files."""


class Decoded(Message, frozen=True):
    """A decode worker has decoded a frame."""

    number: int
    """Position among all items of the stream, from 0."""
    slot: Slot
    frame: WireFrame
    accounting: SourceAccounting
    served: StageSpan


class Skipped(Message, frozen=True):
    """A decode worker has decoded a frame that is not processed."""

    number: int
    index: int
    reason: str
    accounting: SourceAccounting
    failure: str | None = None
    """Reason why the frame failed; None if it was skipped on purpose."""


class NeedRoom(Message, frozen=True):
    """A decode worker has a frame that its slots are too small for, and returns them."""

    size: tuple[int, int]
    """Size of the frame, as (height, width)."""
    slots: list[int]
    """Numbers of the slots."""


class GapFound(Message, frozen=True):
    """A frame is missing."""

    number: int
    gap: Gap
    accounting: SourceAccounting


class FormatChanged(Message, frozen=True):
    """The next frame begins a new part."""

    number: int
    change: FormatChange


class Ended(Message, frozen=True):
    """The source has ended, was stopped, or failed."""

    number: int
    accounting: SourceAccounting
    error: str | None


class Done(Message, frozen=True):
    """A preprocess or segment worker has finished a frame."""

    stream: str
    index: int
    geometry: Geometry
    arrays: tuple[Pixels, ...]
    """Resulting arrays."""
    served: StageSpan


class Failed(Message, frozen=True):
    """A stage could not process a frame."""

    stream: str
    index: int
    reason: str
    detail: str


class Written(Message, frozen=True):
    """An encode worker has written a frame to all sinks."""

    index: int
    part: int
    """Number of the part that contains the frame, from 0."""
    num_durable: int
    """Number of frames that would survive the end of the process."""
    served: StageSpan


class Closed(Message, frozen=True):
    """All files of a stream are finished."""

    num_frames: int
    parts: dict[str, list[Part]]


class SourceChanged(Message, frozen=True):
    """The state of a live source has changed."""

    state: ReadingState
    connections: int
    """Number of connections so far."""
    error: str | None
    """Reason why the last connection ended."""


class Fault(Message, frozen=True):
    """The worker cannot continue, and a restart would not help."""

    kind: Literal["source", "config", "output"]
    text: str
    parts: dict[str, list[Part]]
    """Files that an encode worker has written."""


class Grant(Message, frozen=True):
    """A decode worker may fill these slots."""

    slots: list[Slot]


class NoRoom(Message, frozen=True):
    """The answer to `NeedRoom` when there is not enough memory, so that the frame fails."""

    reason: str


class ResumeState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The state of a live source after its earlier workers."""

    accounting: SourceAccounting
    last: tuple[Fraction, float] | None
    """Time of the last frame, and the monotonic time of its arrival, in seconds."""
    connections: int


class BeginDecode(Message, frozen=True):
    """A decode worker may begin."""

    skip_items: int
    """Number of items received from earlier workers, which are not sent again."""
    first_image: int
    """Index of the first frame whose image is needed."""
    before: ResumeState
    """State to continue from, for live sources, which cannot be read again."""
    left_out: list[LeftOut] = []
    """Packets not to decode, because decoders were lost at them."""


class WarmUp(Message, frozen=True):
    """A segment worker will get images of (height, width)."""

    size: tuple[int, int]
    forget: list[tuple[int, int]] = []
    """Input sizes that will not be needed soon, so that their memory can be freed."""


class Work(Message, frozen=True):
    """A frame for a preprocess, segment or encode worker."""

    frame: WireFrame
    room: tuple[int, int] = (0, 0)
    """Half-open range of the shared memory for the result."""
    begins_part: bool = False


class PartRun(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A run of consecutive frames in one part."""

    first: FrameMeta
    num_frames: int


class BeginEncode(Message, frozen=True):
    """The frames written before, from which an encode worker continues."""

    runs: list[PartRun]
    last: FrameMeta | None
    """The last of these frames."""


class Finish(Message, frozen=True):
    """No more frames will come: an encode worker closes its files, a decode worker its source."""


class Stop(Message, frozen=True):
    """The process may end."""


FromWorker: TypeAlias = (
    Heartbeat
    | Connected
    | Ready
    | WarmedUp
    | Opened
    | CaughtUp
    | SinksOpened
    | Decoded
    | Skipped
    | NeedRoom
    | GapFound
    | FormatChanged
    | Ended
    | Done
    | Failed
    | Written
    | Closed
    | SourceChanged
    | Fault
)
FromHub: TypeAlias = Grant | NoRoom | BeginDecode | WarmUp | Work | BeginEncode | Finish | Stop
