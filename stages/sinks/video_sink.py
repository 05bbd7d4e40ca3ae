"""The base of video sinks, with their files and parts."""

import glob
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from av.video.frame import VideoFrame

from icstream.stages.items import FrameMeta, Size
from icstream.stages.sinks.fragments import cut_back, last_fragment
from icstream.stages.sinks.sink import Part
from icstream.stages.sinks.video_part import VideoFormat, VideoPart

log = logging.getLogger(__name__)


def video_files(folder: Path, stem: str) -> Iterator[Path]:
    """Yield the files in a folder that a `VideoSink` wrote with a stem."""
    for path in folder.glob(f"{glob.escape(stem)}*.mp4"):
        if re.fullmatch(r"(\.\d{4,})?", path.name.removeprefix(stem).removesuffix(".mp4")):
            yield path


class _SideLimits(NamedTuple):
    """The sizes that files of a codec can have."""

    codec: str
    """The name of the codec for people."""
    min_width: int
    max_side: int


_LIMITS = {
    # FFmpeg's encoder finds no slices for a column of several pixels; MP4 has sides in 16 bits
    # (ISO/IEC 14496-12, 12.1.3, VisualSampleEntry).
    "ffv1": _SideLimits("FFV1", 2, 2**16 - 1),
    # x264, encoder/encoder.c: MAX_RESOLUTION.
    "libx264": _SideLimits("H.264", 1, 2**14),
}


class VideoSink:
    """The base of video sinks, with numbered files: `masks.mp4`, `masks.0001.mp4`, ..."""

    num_held_back = 1
    """The muxer delays a frame until the next one determines its duration."""

    def __init__(
        self,
        folder: Path,
        stem: str,
        *,
        codec: Literal["ffv1", "libx264"],
        pix_fmt: Literal["gray", "yuv420p"],
        options: dict[str, str],
    ) -> None:
        self._folder = folder
        self._stem = stem
        self._codec: Literal["ffv1", "libx264"] = codec
        self._pix_fmt: Literal["gray", "yuv420p"] = pix_fmt
        self._options = options
        self._current: VideoPart | None = None
        self._skipped: tuple[FrameMeta, int] | None = None
        self._finished: list[Part] = []
        self._leaves_out = False
        """Whether frames were left out for their size."""

    @property
    def parts(self) -> list[Part]:
        """Implement `Sink.parts`."""
        return self._finished + ([self._current.part()] if self._current else [])

    def begin_part(self) -> None:
        """Implement `Sink.begin_part`."""
        self.close()

    def restart_point(self, at_most: int) -> int:
        """Implement `Sink.restart_point`; it is the end of a fragment.

        The very last fragment does not count, as a run that was stopped regularly closed it without
        the duration of its last frame.
        """
        total, number = 0, 0
        while self._path(number).exists() and total < at_most:
            last = last_fragment(self._path(number))
            total += 0 if last is None else last.number
            number += 1
            if last is not None and not self._path(number).exists():
                total -= 1
        return min(total, at_most)

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Implement `Sink.skip`."""
        if self.size_fault(first.size) is not None:
            return
        first, count = self._skipped or (first, 0)
        self._skipped = first, count + num_frames

    def size_fault(self, size: Size) -> str | None:
        """Implement `LimitedSink.size_fault`."""
        limits = _LIMITS[self._codec]
        is_wide_enough = size[1] >= limits.min_width or max(size) == 1
        if is_wide_enough and max(size) <= limits.max_side:
            return None
        return (
            f"{size[1]}x{size[0]} pixels: {limits.codec} files have widths from"
            f" {limits.min_width} and sides up to {limits.max_side}"
        )

    def close(self) -> None:
        """Implement `Sink.close`."""
        if self._current is not None:
            part = self._current
            self._current = None
            part.close()
            self._finished.append(part.part())
        elif self._skipped is not None:
            first, count = self._skipped
            self._skipped = None
            path = self._path(len(self._finished))
            cut_back(path, count)
            self._finished.append(Part.beginning(path.name, first, num_frames=count))

    def _holds(self, meta: FrameMeta) -> bool:
        """Return whether the file can have a frame, which otherwise is left out, said once."""
        fault = self.size_fault(meta.size)
        if fault is not None and not self._leaves_out:
            self._leaves_out = True
            name = f"{self._folder.name}/{self._stem}.mp4"
            log.warning("%s: left out: frames of %s", name, fault)
        return fault is None

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._stem}{f'.{number:04}' if number else ''}.mp4"

    def _write(self, meta: FrameMeta, image: VideoFrame) -> None:
        """Write an image, to a new file if none is open."""
        if self._current is None:
            self._current = self._open(meta, image)
        self._current.write(meta, image)

    def _open(self, meta: FrameMeta, image: VideoFrame) -> VideoPart:
        self._folder.mkdir(parents=True, exist_ok=True)
        first, num_done = self._skipped or (meta, 0)
        self._skipped = None
        video_format = VideoFormat(
            codec=self._codec,
            pix_fmt=self._pix_fmt,
            size=(image.height, image.width),
            options=self._options,
            colorspace=image.colorspace,
            color_range=image.color_range,
            pixel_aspect=meta.pixel_aspect,
        )
        path = self._path(len(self._finished))
        return VideoPart(path, first, video_format, num_done=num_done)
