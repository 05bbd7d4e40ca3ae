"""The base of sinks that write one line of text per frame."""

import os
from pathlib import Path
from typing import IO

from icstream.model.files import naming_file, sync_file, sync_folder
from icstream.stages.items import FrameMeta
from icstream.stages.sinks.parts import PartList
from icstream.stages.sinks.sink import Part

_BLOCK = 1 << 20
"""The bytes that are searched at once; files of masks may have many gigabytes."""


def find_end_of_lines(path: Path, *, at_most: int | None = None) -> tuple[int, int]:
    """Return the number of complete lines in a file, up to a maximum, and the end of the last."""
    count, end, place = 0, 0, 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            num_lines = block.count(b"\n")
            if at_most is not None and count + num_lines >= at_most:
                inside = 0
                for _ in range(at_most - count):
                    inside = block.index(b"\n", inside) + 1
                return at_most, place + inside if at_most > count else end
            if num_lines:
                count, end = count + num_lines, place + block.rindex(b"\n") + 1
            place += len(block)
    return count, end


class LineSink:
    """A sink that appends lines to one file, each written before the next frame."""

    wants_image = False
    num_held_back = 0

    def __init__(
        self, folder: Path, name: str, *, header: str = "", shown: str | None = None
    ) -> None:
        """Set the name of the file, which is created with the first frame.

        Args:
            folder: The folder of the stream's results.
            name: The name of the file in it.
            header: The complete lines at the beginning of the file.
            shown: The path for the report, if it is not the name.
        """
        self._path = folder / name
        self._header = header
        self._num_header_lines = header.count("\n")
        self._num_skipped = 0
        self._file: IO[str] | None = None
        self._parts = PartList(shown or name)

    @property
    def parts(self) -> list[Part]:
        """Implement `Sink.parts`."""
        return self._parts.all()

    def begin_part(self) -> None:
        """Implement `Sink.begin_part`; the file continues, as lines have size and time."""
        self._parts.begin_part()

    def restart_point(self, at_most: int) -> int:
        """Implement `Sink.restart_point`."""
        if not self._path.exists():
            return 0
        whole, _ = find_end_of_lines(self._path)
        return max(0, min(at_most, whole - self._num_header_lines))

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Implement `Sink.skip`."""
        self._num_skipped += num_frames
        self._parts.count(first, num_frames)

    def close(self) -> None:
        """Implement `Sink.close`."""
        if self._num_skipped and self._file is None:
            self._file = self._continue()
        if self._file is not None:
            self._file.close()
            sync_file(self._path)
            sync_folder(self._path.parent)

    def _write_line(self, meta: FrameMeta, line: str) -> None:
        if self._file is None:
            self._file = self._continue() if self._num_skipped else self._begin()
        with naming_file(self._path):
            self._file.write(f"{line}\n")
            self._file.flush()
        self._parts.count(meta)

    def _begin(self) -> IO[str]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("w", encoding="utf-8", newline="\n")
        file.write(self._header)
        return file

    def _continue(self) -> IO[str]:
        """Truncate the file after the skipped lines and open it for more."""
        num_kept = self._num_header_lines + self._num_skipped
        _, end = find_end_of_lines(self._path, at_most=num_kept)
        os.truncate(self._path, end)
        return self._path.open("a", encoding="utf-8", newline="\n")
