"""The annotation of one video in a Supervisely project, written frame by frame."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from icstream.model.files import partial_path, sync_file, sync_folder
from icstream.stages.items import FrameMeta
from icstream.stages.sinks.line_sink import LineSink
from icstream.stages.supervisely.video import (
    frame_text,
    text_after_frames,
    text_before_frames,
    without_text_after_frames,
)


class VideoAnnotation(LineSink):
    """A line per frame under another name; the file gets its own name when it is whole."""

    def __init__(self, path: Path, *, shown: str) -> None:
        """Name the file, which has another name until it is whole (see `partial_path`).

        Args:
            path: of the annotation.
            shown: path for the report.
        """
        self._annotation = path
        self._is_whole = False
        super().__init__(
            path.parent,
            partial_path(path).name,
            header="\n\n",  # two lines, which `begin` knows
            shown=shown,
        )

    def begin(self, head: Mapping[str, Any]) -> None:
        """Set everything but the frames; to be called before the first of them is written."""
        self._header = text_before_frames(head)

    def write_figures(self, meta: FrameMeta, figures: Sequence[Mapping[str, Any]]) -> None:
        """Write the figures of a frame."""
        is_first = not self._parts.num_frames
        self._write_line(meta, frame_text(meta.index, figures, is_first=is_first))

    def restart_point(self, at_most: int) -> int:
        """See `Sink.restart_point`."""
        self._open_again()
        return super().restart_point(at_most)

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See `Sink.skip`."""
        self._open_again()
        super().skip(first, num_frames)

    def stop(self) -> None:
        """Close the file as it is, to be continued later."""
        super().close()

    def discard(self) -> None:
        """Remove what was written, and its folder if nothing else is in it."""
        self.stop()
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._path.parent.rmdir()

    def close(self) -> None:
        """See `Sink.close`; the annotation gets its name only now that it is whole."""
        if self._is_whole:
            return  # the file would be replaced by one without frames
        super().close()
        if self._parts.num_frames:
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(text_after_frames(self._parts.num_frames))
            sync_file(self._path)
            self._path.replace(self._annotation)
            sync_folder(self._annotation.parent)
            self._is_whole = True

    def _open_again(self) -> None:
        """Turn a finished annotation into one that can be continued."""
        if self._annotation.exists():
            content = self._annotation.read_text(encoding="utf-8")
            frames = without_text_after_frames(content)
            self._path.write_text(frames, encoding="utf-8", newline="\n")
            self._annotation.unlink()
            self._is_whole = False
