"""The messages between hub and workers: typed, checked on arrival, never pickled.

A message on the wire is several frames: a header (`headers.py`), then the pixels that do not lie in
shared memory.
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
"""Larger arrays are refused before anything is allocated for them."""

_ITEM_BYTES = {"uint8": 1, "float32": 4}


class WireError(Exception):
    """A message that is damaged, of another version, or out of turn."""


Field: TypeAlias = Literal["image", "canvas", "prepared", "scores"]
"""image and scores are as in a `Frame`; of canvas and prepared, (3, h, w), the planes travel."""
DType: TypeAlias = Literal["uint8", "float32"]


class Pixels(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where an array of a frame lies."""

    field: Field
    dtype: DType
    shape: tuple[int, ...]
    offset: int | None
    """In the shared memory; None where it travels behind the header, in order."""

    def __post_init__(self) -> None:
        if min(self.shape, default=0) < 1 or len(self.shape) != 3 or self.num_bytes > MAX_BYTES:
            raise ValueError(f"an array of shape {self.shape} is not allowed")
        if self.offset is not None and self.offset < 0:
            raise ValueError(f"an array at {self.offset} is not allowed")

    @property
    def num_bytes(self) -> int:
        """How long it is."""
        return prod(self.shape) * _ITEM_BYTES[self.dtype]

    def view(self, memory: Any, offset: int = 0) -> "np.ndarray[Any, Any]":
        """Return the array that lies at `offset` of a buffer; nothing is copied."""
        return np.ndarray(self.shape, self.dtype, memory, offset)


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages."""


class WireFrame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A `Frame` without its pixels."""

    meta: FrameMeta
    geometry: Geometry | None = None
    """Of `prepared` and `scores`; where neither is there, the canvas is the network's input."""
    arrays: tuple[Pixels, ...] = ()


class Slot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Room for all arrays of one frame, and the right to have that frame in flight."""

    number: int
    start: int = 0
    stop: int = 0
    """Half-open range in the shared memory; empty where pixels travel in messages."""
    num_bytes: int = 0
    """How many bytes of memory are reserved for the arrays, wherever they lie."""


class SourceAccounting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The decoder's side of a stream's accounting."""

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
        """Return the counts as they are now."""
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
        """Replace the counts that are there."""
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
        """Return the counts of a decoder that is abandoned: what it still held has no frame."""
        if not self.in_decoder:
            return self
        without_frame = dict(self.without_frame)
        without_frame["stopped"] = without_frame.get("stopped", 0) + self.in_decoder
        return msgspec.structs.replace(self, in_decoder=0, without_frame=without_frame)


class StageSpan(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """When a stage worked on a frame, by the system's monotonic clock in seconds."""

    start: float
    stop: float


class Heartbeat(Message, frozen=True):
    """The process is alive; sent by a thread of its own over a socket of its own."""

    num_sent: int
    """Messages that the worker sent over its link so far."""
    num_received: int
    """Messages that it has read."""
    busy_s: float
    """How long it has been at its present task; 0 if it waits for one."""


class Connected(Message, frozen=True):
    """A worker has started and will soon be ready; it can already be warmed up."""


class Ready(Message, frozen=True):
    """A preprocess or segment worker takes frames."""


class WarmedUp(Message, frozen=True):
    """A segment worker is prepared for images of (height, width)."""

    size: tuple[int, int]


class Opened(Message, frozen=True):
    """A decode worker has opened its source."""

    info: SourceInfo


class CaughtUp(Message, frozen=True):
    """A decode worker has read past what was received from earlier ones."""


class SinksOpened(Message, frozen=True):
    """An encode worker has opened its sinks."""

    wants_image: bool
    num_done: int
    """Frames that are whole in every sink's files."""


class Decoded(Message, frozen=True):
    """A frame left the decoder."""

    number: int
    """Position among all items of the stream, from 0."""
    slot: Slot
    frame: WireFrame
    accounting: SourceAccounting
    served: StageSpan


class Skipped(Message, frozen=True):
    """A frame left the decoder and goes no further."""

    number: int
    index: int
    reason: str
    accounting: SourceAccounting
    failure: str | None = None
    """Why it failed; None if it is left out on purpose."""


class NeedRoom(Message, frozen=True):
    """A decode worker has a frame for which its slots are too small; it gives them back."""

    size: tuple[int, int]
    """(height, width) of the frame."""
    slots: list[int]
    """Numbers of the slots."""


class GapFound(Message, frozen=True):
    """An image is not there."""

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
    """What it made."""
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
    """Number of the part that the frame is in, from 0."""
    num_durable: int
    """Frames of the stream that would survive the end of the process."""
    served: StageSpan


class Closed(Message, frozen=True):
    """All files of a stream are finished."""

    num_frames: int
    parts: dict[str, list[Part]]


class SourceChanged(Message, frozen=True):
    """The state of a live source has changed."""

    state: ReadingState
    connections: int
    """How often it was connected."""
    error: str | None
    """Why the last connection ended."""


class Fault(Message, frozen=True):
    """The worker cannot go on, and starting it again would not help."""

    kind: Literal["source", "config", "output"]
    text: str
    parts: dict[str, list[Part]]
    """Files that an encode worker has written."""


class Grant(Message, frozen=True):
    """A decode worker may fill these slots."""

    slots: list[Slot]


class NoRoom(Message, frozen=True):
    """The answer to `NeedRoom` if there is not so much memory; the frame fails."""

    reason: str


class ResumeState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a live source has sent through earlier workers."""

    accounting: SourceAccounting
    last: tuple[Fraction, float] | None
    """Time of the last frame in seconds, and when it came by the system's monotonic clock."""
    connections: int


class BeginDecode(Message, frozen=True):
    """A decode worker may begin."""

    skip_items: int
    """How many items were received from an earlier worker; they are not sent again."""
    first_image: int
    """Index of the first frame whose image is needed."""
    before: ResumeState
    """For live sources, which cannot be read again."""
    left_out: list[LeftOut] = []
    """What the source is not to decode, as decoders were lost at it."""


class WarmUp(Message, frozen=True):
    """A segment worker will get images of (height, width)."""

    size: tuple[int, int]
    forget: list[tuple[int, int]] = []
    """Sizes of inputs of which it will get no more soon, so that their memory is free."""


class Work(Message, frozen=True):
    """A frame for a preprocess or segment worker, or for an encode worker."""

    frame: WireFrame
    room: tuple[int, int] = (0, 0)
    """Half-open range in the shared memory that the result may be put into."""
    begins_part: bool = False


class PartRun(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Frames that follow one another in one part."""

    first: FrameMeta
    num_frames: int


class BeginEncode(Message, frozen=True):
    """What an encode worker needs of the frames before those that it gets."""

    runs: list[PartRun]
    last: FrameMeta | None
    """The last of them."""


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
