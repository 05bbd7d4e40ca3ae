"""Cameras at this computer and network streams, read by FFmpeg."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.address import device_path, scheme_of, shown
from icstream.stages.decode.packet_tracker import PacketTracker, find_video_stream, frame_fault
from icstream.stages.decode.rgb import RgbConverter, displayed_size
from icstream.stages.live.camera import LiveFrame, LostFrame
from icstream.stages.live.hardware import accelerator
from icstream.stages.live.settings import CameraSettings, LiveSettings

log = logging.getLogger(__name__)

_WITHOUT_CLOCK = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "m4v"})
"""Formats whose times FFmpeg makes up from a frame rate."""
_PATIENCE = 32
"""A packet whose frame has not come after so many others will not give one."""
_MICROSECONDS = 1_000_000
_PROMPT = {"analyzeduration": "1000000", "fpsprobesize": "0"}
"""Options without which FFmpeg collects frames for seconds only to find out their rate."""


class FFmpegCamera:
    """One connection to a camera or a network stream.

    Packets before the first key frame are not decoded: what they show builds on what never came.
    """

    may_be_silent = False

    def __init__(
        self,
        address: str,
        *,
        settings: LiveSettings,
        threads: int = 1,
        accounting: FrameAccounting,
        is_first: bool,
    ) -> None:
        """Connect.

        Args:
            address: device or URL, secrets included; they are in no message and no error.
            settings: how to read it.
            threads: threads of the decoder.
            accounting: of the stream.
            is_first: no frame came over an earlier connection.

        Raises:
            SourceError: it cannot be opened in time, or holds no video.
        """
        self._shown = shown(address)
        self._accounting = accounting
        self._tracker = PacketTracker(accounting, patience=_PATIENCE)
        self._container = _open(address, settings)
        try:
            self._stream = find_video_stream(self._container, name=self._shown)
            codec = self._stream.codec_context
            codec.thread_count = threads
            # Threads that take a frame each would hold frames back.
            codec.thread_type = "SLICE" if threads > 1 else "NONE"
            codec.copy_opaque = True
        except BaseException:
            self._container.close()
            raise
        names = set(self._container.format.name.split(","))
        self.comes_in_bursts = "hls" in names or self._is_finite(address)
        self._ends = self._is_finite(address)
        self._is_over = self._ends and not is_first  # what it still holds came before
        self._is_recording = self._ends and "hls" not in names
        self._num_before = accounting.packets if is_first else 0
        self._has_clock = not names & _WITHOUT_CLOCK
        self._converter = RgbConverter()
        self._seen_key = self._seen_time = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | None]:
        """See `Camera.__iter__`."""
        if self._is_over:
            self._count_missing(at_least=1)
            return
        try:
            for packet in self._packets():
                if packet is None:
                    yield None
                else:
                    yield from self._take_packet(packet)
            yield from self._send(None)
            self._count_missing(at_least=0)
        finally:
            self._tracker.stopped("connection ended")

    def _is_finite(self, address: str) -> bool:
        """Return whether it is a recording on a web server, or a stream that has ended."""
        return address.lower().startswith("http") and self._container.duration is not None

    def _count_missing(self, *, at_least: int) -> None:
        """Count what a recording's own index promises beyond what came.

        Args:
            at_least: frames that must be missing where there is no index to say so.
        """
        if not self._is_recording:
            return
        promised, came = self._stream.frames, self._accounting.packets - self._num_before
        missing = max(0, promised - came) if promised else at_least
        self._accounting.missing = max(self._accounting.missing, missing)

    def _packets(self) -> "Iterator[Packet[VideoStream] | None]":
        """Return packets of frames, and None for others: sound may go on where no frame comes."""
        packets: Iterator[Any] = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                raise SourceError(f"{self._shown}: {_why(error)}") from None
            if packet is not None and packet.stream is not self._stream:
                yield None
                continue
            if packet is None or (packet.size == 0 and packet.pts is None):
                break
            yield packet
        if not self._ends:
            raise SourceError(f"{self._shown}: the other side ended the connection")

    def _take_packet(self, packet: "Packet[VideoStream]") -> Iterator[LiveFrame | LostFrame | None]:
        number = self._tracker.read()
        if not packet.size:  # V4L2: the driver says that the frame is damaged
            yield self._lose(packet.pts, "damaged packet")
            return
        self._seen_key = self._seen_key or packet.is_keyframe
        if not self._seen_key:
            self._tracker.without_frame("before the first key frame")
            yield None
            return
        packet.opaque = number
        self._tracker.sent(number, packet.pts)
        yield from self._send(packet)
        for sent in self._tracker.overdue():
            yield self._lose(sent.pts, "no picture from the decoder")
        yield None

    def _send(self, packet: "Packet[VideoStream] | None") -> Iterator[LiveFrame | LostFrame]:
        """Send a packet to the decoder, or None for the end; return what comes out."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except FFmpegError:
            if packet is not None and self._tracker.refused():
                yield self._lose(packet.pts, "damaged packet")
            return
        for frame in frames:
            if not self._tracker.came(frame.opaque):
                continue
            self._seen_time = self._seen_time or frame.pts is not None
            if self._has_clock and not self._seen_time:
                self._tracker.without_frame("before the first time")
            else:
                yield self._take(frame)

    def _take(self, frame: VideoFrame) -> LiveFrame | LostFrame:
        if (fault := frame_fault(frame)) is not None:
            return self._lose(frame.pts, fault)
        pts = frame.pts if self._has_clock else None
        time_base = self._stream.time_base or Fraction(1)
        return LiveFrame(pts, time_base, displayed_size(frame), lambda: self._converter.rgb(frame))

    def _lose(self, pts: int | None, reason: str) -> LostFrame:
        self._tracker.lost(reason)
        return LostFrame(pts if self._has_clock else None, reason)


def _open(address: str, settings: LiveSettings) -> av.container.InputContainer:
    is_device = scheme_of(address) == "device"
    try:
        return av.open(
            device_path(address) if is_device else address,
            format="v4l2" if is_device else None,
            options=_PROMPT
            | (_of_device(settings.camera) if is_device else _of_network(address, settings))
            | settings.ffmpeg,
            timeout=(settings.open_timeout_s, settings.read_timeout_s),
            metadata_errors="replace",
            hwaccel=accelerator(settings.hardware),
        )
    except FFmpegError as error:
        raise SourceError(f"{shown(address)}: {_why(error)}{_cameras(is_device)}") from None
    except ValueError as error:  # FFmpeg's own words name the address
        raise SourceError(f"{shown(address)}: cannot be opened") from error


def _why(error: FFmpegError) -> str:
    if isinstance(error, av.error.ExitError):
        return "nothing came in time"
    return f"{error.strerror}".lower()


def _cameras(is_device: bool) -> str:
    """Return the end of a sentence that names the cameras at this computer."""
    if not is_device:
        return ""
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f" (cameras here: {', '.join(found) or 'none'})"


def _of_device(camera: CameraSettings) -> dict[str, str]:
    found = {}
    if camera.size is not None:
        found["video_size"] = f"{camera.size[1]}x{camera.size[0]}"
    if camera.rate is not None:
        found["framerate"] = f"{camera.rate:g}"
    if camera.pixel_format is not None:
        found["input_format"] = camera.pixel_format
    return found


def _of_network(address: str, settings: LiveSettings) -> dict[str, str]:
    scheme = address.partition(":")[0].lower()
    timeout = str(round(_MICROSECONDS * settings.read_timeout_s))
    if scheme in ("rtsp", "rtsps"):
        return {"rtsp_transport": settings.rtsp_transport, "timeout": timeout}
    if scheme in ("http", "https"):
        return {"rw_timeout": timeout, "live_start_index": "-1"}
    if scheme == "udp":
        return {"timeout": timeout, "overrun_nonfatal": "1"}
    return {"rw_timeout": timeout}
