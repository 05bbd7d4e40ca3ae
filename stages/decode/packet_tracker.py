"""Matching of decoded frames with packets, and accounting of every packet."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.model.geometry import MAX_PIXELS, padded_pixels
from icstream.stages.accounting import FrameAccounting


class SentPacket(NamedTuple):
    """The record of a packet that is kept until its frame arrives."""

    pts: int | None
    """The packet's time in the time base of its stream."""
    is_discard: bool = False
    """Whether the container marks the packet's frame as not displayed."""
    num_restarts: int = 0
    """The number of restarts of time before it."""
    is_before_key: bool = False
    """Whether no key frame came before it."""
    is_damaged: bool = False
    """Whether the container shows that part of it is lost."""


class _Number(int):
    """A number with its own identity.

    PyAV identifies the opaque objects of packets by identity, and drops equal ones together.
    """

    __slots__ = ()


class PacketTracker:
    """A matcher of a decoder's frames with the packets sent to it, which accounts for each packet.

    Each packet gets a number, which FFmpeg copies to the packet's frame (`Packet.opaque`). Every
    packet either yields a frame (`came`), is refused by the decoder (`refused`), is overdue because
    too many others were sent since (`overdue`, `rest`), or is still in the decoder when reading
    ends (`stopped`). The source counts a packet without a frame as `lost`, or as one that rightly
    has none (`without_frame`).
    """

    def __init__(self, accounting: FrameAccounting, *, patience: int) -> None:
        """Start without packets.

        Args:
            accounting: The counters of the stream, of which the tracker updates `packets`,
                `in_decoder`, `undecodable` and `without_frame`.
            patience: The number of later packets after which a packet is overdue.
        """
        self._accounting = accounting
        self._patience = patience
        self._pending: OrderedDict[object, SentPacket] = OrderedDict()

    def read(self) -> int:
        """Count a packet read from the source, and return its number."""
        self._accounting.packets += 1
        return _Number(self._accounting.packets)

    def sent(
        self,
        number: int,
        pts: int | None,
        *,
        is_discard: bool = False,
        num_restarts: int = 0,
        is_before_key: bool = False,
        is_damaged: bool = False,
    ) -> None:
        """Record that a packet is sent to the decoder; the arguments are those of `SentPacket`."""
        self._pending[number] = SentPacket(pts, is_discard, num_restarts, is_before_key, is_damaged)
        self._accounting.in_decoder += 1

    def came(self, number: object) -> SentPacket | None:
        """Remove and return the packet of a frame; None if it had one already, or was overdue."""
        sent = self._pending.pop(number, None)
        if sent is not None:
            self._accounting.in_decoder -= 1
        return sent

    def refused(self) -> SentPacket | None:
        """Remove and return the last packet, which the decoder refused; None if it had a frame."""
        number = self._accounting.packets
        if number not in self._pending:
            return None
        self._accounting.in_decoder -= 1
        return self._pending.pop(number)

    def overdue(self) -> Iterator[SentPacket]:
        """Remove and return the packets that are overdue, oldest first."""
        while len(self._pending) > self._patience:
            yield self._pop_oldest()

    def rest(self) -> Iterator[SentPacket]:
        """Remove and return all packets without a frame, oldest first."""
        while self._pending:
            yield self._pop_oldest()

    def lost(self, reason: str) -> None:
        """Count a packet that should have yielded a usable frame but did not."""
        self._accounting.undecodable[reason] += 1

    def without_frame(self, reason: str) -> None:
        """Count a packet that rightly yields no frame of its own."""
        self._accounting.without_frame[reason] += 1

    def stopped(self, reason: str) -> None:
        """Count the packets still in the decoder as without a frame, when reading stops."""
        if self._pending:
            self._accounting.without_frame[reason] += len(self._pending)
            self._accounting.in_decoder -= len(self._pending)
            self._pending.clear()

    def _pop_oldest(self) -> SentPacket:
        self._accounting.in_decoder -= 1
        return self._pending.popitem(last=False)[1]


def frame_fault(frame: VideoFrame) -> str | None:
    """Return the accounting's reason why a decoded frame cannot be used, or None.

    Frames that the decoder concealed are flagged as corrupt, as their content is invented.
    """
    if frame.is_corrupt:
        return "damaged packet"
    if padded_pixels((frame.height, frame.width)) > MAX_PIXELS:
        return "picture too large"
    return None


def find_video_streams(container: av.container.InputContainer, *, name: str) -> list[VideoStream]:
    """Return the decodable video streams in order, without cover images.

    Args:
        container: The open input.
        name: The name of the input, for the error message.

    Raises:
        SourceError: There is no such stream.
    """
    found = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None
        and stream.codec_context.width
        and not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not found:
        others = ", ".join(f"{stream.type}" for stream in container.streams) or "nothing"
        raise SourceError(f"{name}: contains no video that can be decoded (it has: {others})")
    return found


def find_video_stream(container: av.container.InputContainer, *, name: str) -> VideoStream:
    """Return the first decodable video stream.

    Raises:
        SourceError: There is none.
    """
    return find_video_streams(container, name=name)[0]
