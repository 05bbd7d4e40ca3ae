"""The times of a recording: whether they are usable, and where they restart."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.stages.decode.recording import Recording
from icstream.stages.decode.rgb import displayed_size
from icstream.stages.items import Size

_PROBE_PACKETS = 64
"""The number of packets read to determine whether a file has times."""
_LOOK_AROUND = 16
"""The number of packets checked on each side of a backward step; no codec reorders more frames."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The properties of a recording's beginning and of its index."""

    has_times: bool
    """Whether packets have distinct times."""
    size: Size
    """The (height, width) of the first frame, as displayed."""
    num_indexed: int
    """The number of packets in the index of the file, including those that edit lists skip."""


def probe_recording(path: Path, stream_index: int) -> Probe:
    """Return the properties of a recording's beginning.

    Raises:
        SourceError: The recording cannot be opened.
    """
    times: list[int | None] = []
    size = None
    with Recording(path, options={"ignore_editlist": "1"}) as recording:
        stream = recording.container.streams[stream_index]
        assert isinstance(stream, VideoStream)
        num_indexed = len(stream.index_entries)
        codec = stream.codec_context
        codec.thread_type = "NONE"
        for packet in islice(recording.packets(stream), _PROBE_PACKETS):
            times.append(packet.pts)
            try:
                frames = codec.decode(packet) if size is None else []
            except FFmpegError:
                continue  # damage is counted when the file is actually read
            size = next(map(displayed_size, frames), size)
        if size is None:
            size = codec.height, codec.width
    # Second fields have no time of their own; the frames that they complete have one.
    known = [time for time in times if time is not None]
    is_clock = len(set(known)) > 1 or len(times) == 1
    return Probe(is_clock and len(known) >= len(times) / 2, size, num_indexed)


def promised_frames(stream: VideoStream, probe: Probe, *, is_avi: bool) -> int | None:
    """Return the number of packets with data in the file's index, or None without an index."""
    if is_avi:
        return (stream.frames - num_empty_chunks(stream)) or None
    num_edited_out = probe.num_indexed - len(stream.index_entries)
    return max(0, stream.frames - num_edited_out) or None


def num_empty_chunks(stream: VideoStream) -> int:
    """Return the number of chunks without data that the header and index of an AVI imply.

    Such a chunk prolongs the frame before it.
    """
    entries = stream.index_entries
    num_slots = entries[-1].timestamp + 1 if len(entries) else 0
    # Without an index, FFmpeg lists only the few chunks that it read while opening.
    is_whole = num_slots > stream.frames // 2
    return max(0, stream.frames - len(entries)) if is_whole else 0


class SlotClock:
    """The times of an AVI whose frames are reordered.

    AVI numbers chunks in decoding order and has no display times. Players show one frame for each
    chunk from the first frame on; a chunk without data prolongs the frame before it.
    """

    def __init__(self) -> None:
        self._first_slot: int | None = None
        self._delay: int | None = None
        self._last = -1

    def sent(self, packet: "Packet[VideoStream]") -> None:
        """Record a packet that is sent to the decoder."""
        if self._first_slot is None:
            self._first_slot = packet.dts

    def time_of(self, frame: VideoFrame) -> int:
        """Return the slot of the decoder's next frame."""
        slot = frame.dts  # of the packet that produced it
        if slot is None:  # it followed the last packet
            self._last += 1
            return self._last
        if self._delay is None:
            self._delay = slot - (self._first_slot or 0)
        self._last = slot - self._delay
        return self._last


def with_restarts(
    packets: "Iterator[Packet[VideoStream]]",
) -> "Iterator[tuple[Packet[VideoStream], int]]":
    """Yield each packet with the number of restarts of time before it.

    Time restarts, as in concatenated recordings, where it falls below that of all recent packets
    and none of the next ones rises again. A few late or repeated packets do not count.
    """
    ahead: deque[Packet[VideoStream]] = deque()
    recent: deque[int] = deque(maxlen=_LOOK_AROUND)
    num_restarts = 0
    while True:
        packet = ahead.popleft() if ahead else next(packets, None)
        if packet is None:
            return
        if packet.dts is not None:
            if recent and packet.dts < recent[-1] and packet.dts <= min(recent):
                ahead.extend(islice(packets, _LOOK_AROUND - len(ahead)))
                if all(after.dts is None or after.dts <= max(recent) for after in ahead):
                    num_restarts += 1
                    recent.clear()
            recent.append(packet.dts)
        yield packet, num_restarts
