"""What the video sinks share: files, parts, and when a new one begins."""

from pathlib import Path

from av.video.frame import VideoFrame

from icstream.stages.items import FrameMeta
from icstream.stages.sinks.fragments import read_fragments
from icstream.stages.sinks.sink import Part
from icstream.stages.sinks.video_part import VideoPart, cut_back


class VideoSink:
    """Numbers its files: `masks.mp4`, `masks.0001.mp4`, ..."""

    num_held_back = 1
    """The muxer keeps a frame until it knows from the next one how long it is shown."""

    def __init__(
        self, folder: Path, stem: str, *, codec: str, pix_fmt: str, options: dict[str, str]
    ) -> None:
        self._folder = folder
        self._stem = stem
        self._codec = codec
        self._pix_fmt = pix_fmt
        self._options = options
        self._current: VideoPart | None = None
        self._skipped: tuple[FrameMeta, int] | None = None
        self._finished: list[Part] = []

    @property
    def parts(self) -> list[Part]:
        """See `Sink.parts`."""
        return self._finished + ([self._current.part()] if self._current else [])

    def begin_part(self) -> None:
        """See `Sink.begin_part`."""
        self.close()

    def restart_point(self, at_most: int) -> int:
        """See `Sink.restart_point`; it is the end of a fragment.

        The last fragment of all does not count: a run that was stopped in order closed it without
        knowing how long its last frame is shown.
        """
        total, number = 0, 0
        while self._path(number).exists() and total < at_most:
            samples = read_fragments(self._path(number)).samples
            number += 1
            if not self._path(number).exists():
                samples = samples[:-1]
            for count in samples:
                if total + count > at_most:
                    return total
                total += count
        return total

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See `Sink.skip`."""
        first, count = self._skipped or (first, 0)
        self._skipped = first, count + num_frames

    def close(self) -> None:
        """See `Sink.close`."""
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

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._stem}{f'.{number:04}' if number else ''}.mp4"

    def _write(self, meta: FrameMeta, image: VideoFrame) -> None:
        """Write an image, into a new file if none is open."""
        if self._current is None:
            self._current = self._open(meta, image)
        self._current.write(meta, image)

    def _open(self, meta: FrameMeta, image: VideoFrame) -> VideoPart:
        self._folder.mkdir(parents=True, exist_ok=True)
        first, num_done = self._skipped or (meta, 0)
        self._skipped = None
        part = VideoPart(
            self._path(len(self._finished)),
            first,
            codec=self._codec,
            pix_fmt=self._pix_fmt,
            encoded_size=(image.height, image.width),
            options=self._options,
            num_done=num_done,
        )
        part.codec_context.colorspace = image.colorspace
        part.codec_context.color_range = image.color_range
        return part
