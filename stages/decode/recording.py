"""Reading of recordings by FFmpeg, from their own files only, up to a verified end."""

import io
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.model.shown import escape
from icstream.stages.decode.holes import HoleWatch
from icstream.stages.decode.pyav import exact_ratio, open_for_reading
from icstream.stages.decode.stated_end import lacks_mp4_index, why_unfinished
from icstream.stages.decode.transport_stream import LossWatch

log = logging.getLogger(__name__)

_HLS_SUFFIXES = frozenset({".m3u8", ".m3u"})
"""The suffixes of HLS playlists, in lower case; only these may refer to other files."""

_END_MARK = b"\n#EXT-X-ENDLIST\n"
"""The tag at the end of a complete playlist (RFC 8216, section 4.3.3.4)."""
_SEGMENT = b"#EXTINF"
"""The tag of a segment; a playlist of playlists has neither segments nor an end tag."""
_MAX_PLAYLIST_BYTES = 16 * 2**20
_PROBE_LONGER = {"probesize": str(128 * 2**20), "analyzeduration": str(600 * 10**6)}
"""The bytes and microseconds that are searched for a video that FFmpeg does not find at once."""
_WITH_STATED_DURATION = frozenset({"matroska", "webm", "flv", "asf", "mxf", "gxf"})
"""The formats whose header states the duration; that of others is measured."""
_TOLERANCE_S = 1.0
"""The tolerance of a recording's duration below that of its header."""
_OPTIONS = {
    "protocol_whitelist": "none",  # demuxers that bypass `_Files` are not opened
    "merge_pmt_versions": "1",  # of MPEG-TS: a stream continues where its PID changes
}


class Recording:
    """An open recording.

    Attributes:
        container: The input container of FFmpeg.
    """

    def __init__(self, path: Path, *, options: Mapping[str, str] | None = None) -> None:
        """Open a file, and read until its video is known.

        Args:
            path: The path of the file.
            options: The options of FFmpeg's demuxer.

        Raises:
            SourceError: The file cannot be read, or not by FFmpeg.
        """
        self._path = path
        self._files = _Files(path)
        options = _OPTIONS | dict(options or {})
        try:
            self.container = self._files.open(options)
            if not _is_video_known(self.container):
                self.close()
                self._files = _Files(path)
                self.container = self._files.open(options | _PROBE_LONGER)
        except BaseException:
            self._files.close()
            raise
        self._holes = HoleWatch(self.container.format.name)
        self._ends: dict[int, int] = {}
        """The end of the last packet of each stream, in units of its time base."""
        self._read_to = 0
        """The end of the last packet, in bytes."""
        self._missing_s = 0.0
        self._stopped: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.container.close()
        self._files.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about anomalies that were handled."""
        return tuple(self._files.notes)

    def packets(self, stream: VideoStream) -> "Iterator[Packet[VideoStream]]":
        """Yield the packets of a stream that hold data, up to the end of the recording.

        A failed read is repeated as long as this makes progress: FFmpeg returns "again" if it has
        found nothing for a while, and may recover after a damaged place.
        """
        progress = (0, 0)
        num_packets = 0
        while True:
            try:
                packets: Iterator[Any] = self.container.demux()  # of all streams, for their times
                for packet in packets:
                    if packet.size:
                        num_packets += 1
                        self._note_end(packet)
                        self._holes.see(packet, is_video=packet.stream is stream)
                        if packet.stream is stream:
                            yield packet
                break
            except (FFmpegError, OSError) as error:
                before, progress = progress, (self._files.place(), num_packets)
                is_stuck = progress == before
                if is_stuck or not isinstance(error, BlockingIOError):
                    self._stopped = f"{error.strerror}".lower()
                if is_stuck:
                    break
                self._holes.resynced()
        self._missing_s = float(self._holes.missing * (exact_ratio(stream.time_base) or 0))

    def is_damaged(self, packet: "Packet[VideoStream]") -> bool:
        """Return whether the container shows that part of a packet is lost."""
        return packet.pos in self._files.losses.damaged

    def check_read(self) -> None:
        """Check that every read of the file succeeded.

        Raises:
            SourceError: The file exists, but parts of it cannot be read.
        """
        if self._files.faults:
            raise SourceError(
                f"{escape(str(self._path))}: reading stopped: {'; '.join(self._files.faults)}"
            )

    def why_cut_short(self) -> str | None:
        """Return why part of the recording could not be read, or None."""
        streams = self.container.streams
        ends_s = [
            float(end * (exact_ratio(streams[k].time_base) or 0)) for k, end in self._ends.items()
        ]
        last_s = max(ends_s, default=0.0)
        if self._stopped is not None:
            return f"reading failed after {last_s:.3f} s: {self._stopped}"
        if self._missing_s:
            return f"{self._missing_s:.3f} s are missing where nothing in it can be read"
        names, duration = set(self.container.format.name.split(",")), self.container.duration
        stated_s = (duration or 0) / av.time_base
        if names & _WITH_STATED_DURATION and last_s < stated_s - _TOLERANCE_S:
            return f"it ends after {last_s:.3f} of the {stated_s:.3f} s that its header states"
        try:
            with self._path.open("rb") as file:
                return why_unfinished(file, self.container.format.name, read_to=self._read_to)
        except OSError as error:
            return f"its end cannot be read ({error.strerror})"

    def _note_end(self, packet: "Packet[VideoStream]") -> None:
        if packet.pos is not None:
            self._read_to = packet.pos + packet.size
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None:
            end, index = time + (packet.duration or 0), packet.stream_index
            self._ends[index] = max(self._ends.get(index, end), end)


class _Files:
    """The files of a recording: the file itself, and those that a playlist names."""

    def __init__(self, path: Path) -> None:
        self.faults: Counter[str] = Counter()
        """The read errors, and how often each occurred."""
        self.notes: list[str] = []
        self.losses = LossWatch()
        self._path = path
        self._is_playlist = path.suffix.lower() in _HLS_SUFFIXES
        self._opened: list[_File] = []

    def open(self, options: Mapping[str, str]) -> InputContainer:
        """Return the recording, opened by FFmpeg.

        Raises:
            SourceError: FFmpeg cannot open it.
        """
        try:
            if self._path.stat().st_size == 0:
                raise SourceError(f"{escape(str(self._path))}: the file is empty")
            file = self._own(self._path)
        except OSError as error:
            raise SourceError(
                f"{escape(str(self._path))}: cannot be read ({error.strerror})"
            ) from error
        try:
            return open_for_reading(
                file,
                format="hls" if self._is_playlist else None,
                container_options=dict(options),
                io_open=self._open_other,
            )
        except (FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{escape(str(self._path))}: not a video that FFmpeg can read"
                f" ({self._why_refused(error)})"
            ) from error

    def _why_refused(self, error: Exception) -> str:
        if self.faults:
            return "; ".join(self.faults)
        with suppress(OSError), self._path.open("rb") as file:
            if lacks_mp4_index(file):
                return "its index, moov, is missing: it was not finished, or cut off"
        return getattr(error, "strerror", None) or str(error)

    def place(self) -> int:
        """Return the number of bytes read, of all files."""
        return sum(file.num_read for file in self._opened)

    def close(self) -> None:
        """Close all files."""
        for file in self._opened:
            file.close()

    def _open_other(self, name: str, _flags: int, _options: object) -> "_File":
        """Open a file that the recording refers to; a forbidden one reads as empty.

        PyAV prints exceptions raised here if FFmpeg continues without the file.
        """
        path, folder = Path(name.removeprefix("file:")), self._path.resolve().parent
        try:
            if self._is_playlist and folder in path.resolve().parents:
                return self._own(path)
            self.faults[
                f"it refers to {escape(name)}, which is not in the folder of a playlist"
            ] += 1
        except OSError as error:
            self.faults[f"{escape(name)} cannot be opened ({error.strerror})"] += 1
        return _File(io.BytesIO(), path, self.faults)

    def _own(self, path: Path) -> "_File":
        file: BinaryIO = path.open("rb", buffering=0)
        if path.suffix.lower() in _HLS_SUFFIXES:
            with file:
                text = file.read(_MAX_PLAYLIST_BYTES)
            if _SEGMENT in text and _END_MARK.strip() not in text:
                # FFmpeg would wait for data that a file left by a crash never gets.
                text += _END_MARK
                self.notes.append(f"{escape(path.name)} has no end mark: it was probably cut off")
            file = io.BytesIO(text)
        losses = None if self._is_playlist else self.losses
        self._opened.append(_File(file, path, self.faults, losses))
        return self._opened[-1]


class _File:
    """A file for FFmpeg, which ends at an error and records it.

    FFmpeg's demuxers treat many read errors as the end of the file.
    """

    def __init__(
        self, file: BinaryIO, path: Path, faults: Counter[str], losses: LossWatch | None = None
    ) -> None:
        self.name = os.path.abspath(path)
        self.num_read = 0
        self._file = file
        self._faults = faults
        self._losses = losses

    def read(self, size: int) -> bytes:
        try:
            place = self._file.tell()
            data = self._file.read(size) or b""
        except OSError as error:
            where = f"byte {self._file.tell()} of {escape(Path(self.name).name)}"
            self._faults[f"{where} cannot be read ({error.strerror})"] += 1
            return b""
        if self._losses is not None:
            self._losses.see(place, data)
        self.num_read += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def _is_video_known(container: InputContainer) -> bool:
    """Return whether the size of every video is known, ignoring cover images."""
    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    return bool(videos) and all(
        stream.codec_context is None or stream.codec_context.width for stream in videos
    )
