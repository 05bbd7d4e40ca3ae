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
    """An annotation with one line per frame, which is renamed once it is complete."""

    def __init__(self, path: Path, *, shown: str) -> None:
        """Set the path, which is that of `partial_path` until the file is complete.

        Args:
            path: The path of the annotation.
            shown: The path for the report.
        """
        self._annotation = path
        self._is_whole = False
        super().__init__(
            path.parent,
            partial_path(path).name,
            header="\n\n",  # two lines, from `begin`
            shown=shown,
        )

    def begin(self, head: Mapping[str, Any]) -> None:
        """Set everything but the frames; must be called before the first frame is written."""
        self._header = text_before_frames(head)

    def write_figures(self, meta: FrameMeta, figures: Sequence[Mapping[str, Any]]) -> None:
        """Write the figures of a frame."""
        is_first = not self._parts.num_frames
        self._write_line(meta, frame_text(meta.index, figures, is_first=is_first))

    def restart_point(self, at_most: int) -> int:
        """See base class."""
        self._open_again()
        return super().restart_point(at_most)

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See base class."""
        self._open_again()
        super().skip(first, num_frames)

    def stop(self) -> None:
        """Close the file unfinished, to be continued later."""
        super().close()

    def discard(self) -> None:
        """Remove the file, and its folder if it is empty."""
        self.stop()
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._path.parent.rmdir()

    def close(self) -> None:
        """See base class; the annotation gets its final name."""
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
