"""Which packet a decoder's frame belongs to, and what became of every packet."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.model.geometry import MAX_PIXELS
from icstream.stages.accounting import FrameAccounting


class SentPacket(NamedTuple):
    """What must be remembered of a packet until its frame comes."""

    pts: int | None
    """The packet's time in the time base of its stream."""
    is_discard: bool = False
    """True if the container says that the packet's frame is not to be shown."""
    num_restarts: int = 0
    """How often time has begun anew before it."""
    is_before_key: bool = False
    """True if no key frame came before it."""
    is_damaged: bool = False
    """True if the container shows that something of it is lost."""


class _Number(int):
    """A number that is an object of its own.

    PyAV tells what packets carry apart by identity, and forgets it for all once one is gone.
    """

    __slots__ = ()


class PacketTracker:
    """Matches the frames of a decoder with the packets sent to it, and accounts for each packet.

    A packet gets a number, which FFmpeg carries along to the packet's frame (`Packet.opaque`).
    Every packet is either answered by a frame (`came`), refused by the decoder (`refused`), given
    up because too many others were sent since (`overdue`, `rest`), or still in the decoder when
    reading ends (`stopped`). Why a packet gave no frame is for the source to count: as `lost`, or
    as one that rightly gave none (`without_frame`).
    """

    def __init__(self, accounting: FrameAccounting, *, patience: int) -> None:
        """Begin without packets.

        Args:
            accounting: of the stream; the tracker keeps `packets`, `in_decoder`, `undecodable`
                and `without_frame`.
            patience: a packet whose frame has not come after so many others will not give one.
        """
        self._accounting = accounting
        self._patience = patience
        self._pending: OrderedDict[object, SentPacket] = OrderedDict()

    def read(self) -> int:
        """Count a packet that came from the source, and return its number."""
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
        """Note that a packet goes to the decoder; the arguments are those of `SentPacket`."""
        self._pending[number] = SentPacket(pts, is_discard, num_restarts, is_before_key, is_damaged)
        self._accounting.in_decoder += 1

    def came(self, number: object) -> SentPacket | None:
        """Take out the packet whose frame came; None if one came before, or it was given up."""
        sent = self._pending.pop(number, None)
        if sent is not None:
            self._accounting.in_decoder -= 1
        return sent

    def refused(self) -> SentPacket | None:
        """Take back the packet read last, as the decoder gives no frame for it; None if it had."""
        number = self._accounting.packets
        if number not in self._pending:
            return None
        self._accounting.in_decoder -= 1
        return self._pending.pop(number)

    def overdue(self) -> Iterator[SentPacket]:
        """Return the packets for which too many others were sent, the oldest first."""
        while len(self._pending) > self._patience:
            yield self._pop_oldest()

    def rest(self) -> Iterator[SentPacket]:
        """Return all packets whose frame has not come, the oldest first."""
        while self._pending:
            yield self._pop_oldest()

    def lost(self, reason: str) -> None:
        """Count a packet that should have given a frame and gave none that can be used."""
        self._accounting.undecodable[reason] += 1

    def without_frame(self, reason: str) -> None:
        """Count a packet that rightly gives no frame of its own."""
        self._accounting.without_frame[reason] += 1

    def stopped(self, reason: str) -> None:
        """Count what is still in the decoder as without a frame, as nobody reads on."""
        if self._pending:
            self._accounting.without_frame[reason] += len(self._pending)
            self._accounting.in_decoder -= len(self._pending)
            self._pending.clear()

    def _pop_oldest(self) -> SentPacket:
        self._accounting.in_decoder -= 1
        return self._pending.popitem(last=False)[1]


def frame_fault(frame: VideoFrame) -> str | None:
    """Return why a decoded frame cannot be used, in the words of the accounting; None if it can.

    A frame that the decoder had to patch up is flagged as corrupt: it shows what never was.
    """
    if frame.is_corrupt:
        return "damaged packet"
    if frame.width * frame.height > MAX_PIXELS:
        return "picture too large"
    return None


def find_video_streams(container: av.container.InputContainer, *, name: str) -> list[VideoStream]:
    """Return the streams of frames that can be decoded, in order; a cover image is none.

    Args:
        container: the opened input.
        name: of the input, for the error.

    Raises:
        SourceError: there is no such stream.
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
        raise SourceError(f"{name}: holds no video that can be decoded (it has: {others})")
    return found


def find_video_stream(container: av.container.InputContainer, *, name: str) -> VideoStream:
    """Return the first of those streams.

    Raises:
        SourceError: there is none.
    """
    return find_video_streams(container, name=name)[0]
