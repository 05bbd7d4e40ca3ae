"""A source that other programs push frames to, over ZeroMQ.

A message has three parts: `icstream-frame-1`, a header as JSON, and the image.

    {"size": [height, width], "encoding": "rgb", "pts": 40, "time_base": "1/1000", "number": 1}

`encoding` is "rgb" (height x width x 3 bytes) or "jpeg". Without `pts` and `time_base`, the time of
arrival is the frame's time. The optional `number` counts the frames of a sender, so that lost
frames
are noticed; several senders that count distinguish themselves by `"sender": "a name"`. The header
`{"end": true}` ends the stream.
"""

import errno
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Annotated, Literal, Self, TypeAlias

import msgspec
import numpy as np
import zmq

from icstream.model import ConfigError, SourceError
from icstream.model.errors import SampleError
from icstream.model.geometry import MAX_PIXELS, padded_pixels
from icstream.pipeline.wire.bind import check_endpoint
from icstream.pipeline.wire.gate import Gate
from icstream.pipeline.wire.zmtp import SharedLimit
from icstream.stages import FrameAccounting
from icstream.stages.decode.address import scheme_of, shown, zmq_endpoint
from icstream.stages.image_files import unpack_image
from icstream.stages.live import LiveFrame, LostFrame

MAGIC = b"icstream-frame-1"

_QUEUE = 4
"""Most messages that wait in the socket before senders block."""
_LOOK_S = 0.25
_MAX_SENDERS = 64
"""Most senders at a time, and most senders that are remembered."""
_MAX_MESSAGE_BYTES = 3 * MAX_PIXELS + 65_536
"""Most bytes of a message: the largest image, and its header."""
_MAX_TIME_S = 2**32
"""Greatest distance of a time from zero, in seconds, that files can store."""

_Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""An integer that every JSON implementation can represent."""
_TimeBase: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}(/[0-9]{1,9})?$")]


class _Header(msgspec.Struct, frozen=True):
    size: tuple[int, int] = (0, 0)
    encoding: Literal["rgb", "jpeg"] = "rgb"
    pts: _Integer | None = None
    time_base: _TimeBase = "1/1000"
    number: _Integer | None = None
    sender: Annotated[str, msgspec.Meta(max_length=64)] = ""
    end: bool = False

    def __post_init__(self) -> None:
        unit = Fraction(self.time_base)  # callers catch ZeroDivisionError
        if unit == 0 or abs((self.pts or 0) * unit) > _MAX_TIME_S:
            raise ValueError(f"a time of {self.pts} x {self.time_base} s is not allowed")


class ZmqCamera:
    """The receiving end, which any number of senders may connect to."""

    comes_in_bursts = False
    may_be_silent = True
    max_ahead_s: float | None = 3600.0
    """Programs may send frames at their own pace, up to this far apart in seconds."""

    def __init__(self, address: str, *, accounting: FrameAccounting) -> None:
        """Bind the socket.

        Args:
            address: zmq://HOST:PORT or zmq:///PATH.
            accounting: the accounting of the stream.

        Raises:
            SourceError: the address cannot be used.
        """
        self._accounting = accounting
        self._next_numbers: dict[str, int] = {}
        """Next number of each sender, with the sender of the last frame last."""
        endpoint = zmq_endpoint(address)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUE)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 3 * MAX_PIXELS)
        limit = SharedLimit(2 * _MAX_MESSAGE_BYTES, max_message_bytes=_MAX_MESSAGE_BYTES)
        try:
            self._gate = Gate(
                self._socket,
                endpoint,
                make_check=limit.make_check,
                max_peers=_MAX_SENDERS,
                mode=0o600,
            )
        except OSError as error:
            self._context.destroy(linger=0)
            raise SourceError(f"{shown(address)}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.release()
        self._context.destroy(linger=0)

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | None]:
        """See base class."""
        while True:
            if not self._socket.poll(round(1e3 * _LOOK_S)):
                yield None
                continue
            parts = self._socket.recv_multipart(copy=False)
            header = _read_header([part.bytes for part in parts[:2]])
            if header is not None and header.end:
                return
            yield from self._count_lost(header)
            self._accounting.packets += 1
            frame = None if header is None or len(parts) != 3 else _frame(header, parts[2])
            if frame is None:
                self._accounting.undecodable["damaged message"] += 1
                yield LostFrame(None, "damaged message")
            else:
                yield frame

    def _count_lost(self, header: _Header | None) -> Iterator[LostFrame]:
        if header is None or header.number is None:
            return
        due = self._next_numbers.pop(header.sender, None)
        if len(self._next_numbers) == _MAX_SENDERS:
            del self._next_numbers[next(iter(self._next_numbers))]
        self._next_numbers[header.sender] = header.number + 1
        if due is not None and header.number > due:
            self._accounting.missing += header.number - due
            yield LostFrame(None, f"{header.number - due} lost on the way")


def check_zmq_addresses(addresses: Iterable[str]) -> None:
    """Check, before a run begins, that frames can be received at the addresses of live sources.

    Raises:
        ConfigError: an address is in use, or something else exists there.
    """
    taken: set[str] = set()
    for address in addresses:
        if scheme_of(address) != "zmq":
            continue
        endpoint = zmq_endpoint(address)
        try:
            if endpoint in taken:
                raise OSError(errno.EADDRINUSE, "given twice")
            check_endpoint(endpoint)
        except OSError as error:
            raise ConfigError(f"{shown(address)}: {error.strerror}") from error
        taken.add(endpoint)


def _read_header(parts: list[bytes]) -> _Header | None:
    if len(parts) != 2 or parts[0] != MAGIC:
        return None
    try:
        return msgspec.json.decode(parts[1], type=_Header)
    except (msgspec.MsgspecError, ValueError, ZeroDivisionError, RecursionError):
        return None


def _frame(header: _Header, image: zmq.Frame) -> LiveFrame | None:
    """Return the frame of a message, or None if the image does not match the header."""
    height, width = header.size
    if min(header.size) < 1 or padded_pixels(header.size) > MAX_PIXELS:
        return None
    if header.encoding == "rgb":
        values = np.frombuffer(image.buffer, np.uint8)
        if values.size != 3 * height * width:
            return None
        rgb = values.reshape(height, width, 3)
    else:
        try:
            rgb = unpack_image(image.bytes, decoder="opencv")
        except SampleError:
            return None
        if rgb.shape[:2] != header.size:
            return None
    return LiveFrame(header.pts, Fraction(header.time_base), header.size, rgb.copy)
