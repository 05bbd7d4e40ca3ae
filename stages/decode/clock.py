"""The times of a recording: whether it has usable ones, and where they begin anew."""

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
"""Packets looked at to see whether a file has times."""
_LOOK_AROUND = 16
"""Packets before and after one that goes back in time; no codec reorders more frames."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the beginning of a recording shows, and its index."""

    has_times: bool
    """Whether packets have times that tell them apart."""
    size: Size
    """Of the first frame, as displayed."""
    num_indexed: int
    """Packets in the index of the file, those that edit lists leave out among them."""


def probe_recording(path: Path, stream_index: int) -> Probe:
    """Look into a recording.

    Raises:
        SourceError: it cannot be opened.
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
                continue  # what is damaged here is counted when the file is really read
            size = next(map(displayed_size, frames), size)
        if size is None:
            size = codec.height, codec.width
    # Second fields come without a time of their own; the frames that they complete have one.
    known = [time for time in times if time is not None]
    is_clock = len(set(known)) > 1 or len(times) == 1
    return Probe(is_clock and len(known) >= len(times) / 2, size, num_indexed)


def promised_frames(stream: VideoStream, probe: Probe, *, is_avi: bool) -> int | None:
    """Return how many packets with data the file's own index promises; None without an index."""
    if is_avi:
        return (stream.frames - num_empty_chunks(stream)) or None
    num_edited_out = probe.num_indexed - len(stream.index_entries)
    return max(0, stream.frames - num_edited_out) or None


def num_empty_chunks(stream: VideoStream) -> int:
    """Return how many chunks without data the header of an AVI counts, as its index shows.

    Such a chunk lets the frame before it be shown for longer.
    """
    entries = stream.index_entries
    num_slots = entries[-1].timestamp + 1 if len(entries) else 0
    # Of a file without an index, FFmpeg knows the few chunks that it has seen while opening.
    is_whole = num_slots > stream.frames // 2
    return max(0, stream.frames - len(entries)) if is_whole else 0


class SlotClock:
    """Times in an AVI whose frames are reordered.

    AVI numbers chunks in the order of decoding and gives no time of display. Players show a frame
    for each chunk from the first frame on; a chunk without data shows the one before for longer.
    """

    def __init__(self) -> None:
        self._first_slot: int | None = None
        self._delay: int | None = None
        self._last = -1

    def sent(self, packet: "Packet[VideoStream]") -> None:
        """Note a packet that goes to the decoder."""
        if self._first_slot is None:
            self._first_slot = packet.dts

    def time_of(self, frame: VideoFrame) -> int:
        """Return the slot in which the decoder's next frame is shown."""
        slot = frame.dts  # of the packet in answer to which it came
        if slot is None:  # it came after the last packet
            self._last += 1
            return self._last
        if self._delay is None:
            self._delay = slot - (self._first_slot or 0)
        self._last = slot - self._delay
        return self._last


def with_restarts(
    packets: "Iterator[Packet[VideoStream]]",
) -> "Iterator[tuple[Packet[VideoStream], int]]":
    """Yield each packet with how often time has begun anew before it.

    It begins anew, as in recordings that were joined, where it goes back behind all of the last
    packets and none of the next ones comes up again. A few that are late or repeated do not count.
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
