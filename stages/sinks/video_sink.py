"""What the two video sinks share: files, parts, and when a new one begins."""

from pathlib import Path

from av.video.frame import VideoFrame

from icstream.stages.items import FrameMeta
from icstream.stages.sinks.sink import Part
from icstream.stages.sinks.video_part import VideoPart


class VideoSink:
    """Numbers its files: `masks.mp4`, `masks.0001.mp4`, ..."""

    def __init__(
        self, folder: Path, stem: str, *, codec: str, pix_fmt: str, options: dict[str, str]
    ) -> None:
        self._folder = folder
        self._stem = stem
        self._codec = codec
        self._pix_fmt = pix_fmt
        self._options = options
        self._current: VideoPart | None = None
        self._finished: list[Part] = []

    @property
    def parts(self) -> list[Part]:
        """See `Sink.parts`."""
        return self._finished + ([self._current.part()] if self._current else [])

    def begin_part(self) -> None:
        """See `Sink.begin_part`."""
        self.close()

    def close(self) -> None:
        """See `Sink.close`."""
        if self._current is not None:
            part, self._current = self._current, None
            part.close()
            self._finished.append(part.part())

    def _write(self, meta: FrameMeta, picture: VideoFrame) -> None:
        """Writes a picture, into a new file if none is open."""
        if self._current is None:
            self._current = self._open(meta, picture)
        self._current.write(meta, picture)

    def _open(self, meta: FrameMeta, picture: VideoFrame) -> VideoPart:
        number = f".{len(self._finished):04}" if self._finished else ""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = VideoPart(
            self._folder / f"{self._stem}{number}.mp4",
            meta,
            codec=self._codec,
            pix_fmt=self._pix_fmt,
            encoded_size=(picture.height, picture.width),
            options=self._options,
        )
        part.codec_context.colorspace = picture.colorspace
        part.codec_context.color_range = picture.color_range
        return part
