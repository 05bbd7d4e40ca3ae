"""What sinks that write a line of text per frame share."""

from pathlib import Path
from typing import IO

from icstream.stages.items import FrameMeta
from icstream.stages.sinks.part_list import PartList
from icstream.stages.sinks.sink import Part


class LineSink:
    """Appends lines to one file; each is handed to the system before the next frame."""

    wants_picture = False

    def __init__(self, folder: Path, name: str, *, header: str | None = None) -> None:
        self._path = folder / name
        self._header = header
        self._file: IO[str] | None = None
        self._parts = PartList(name)

    @property
    def parts(self) -> list[Part]:
        """See `Sink.parts`."""
        return self._parts.all()

    def begin_part(self) -> None:
        """See `Sink.begin_part`; the file goes on, as each line tells its own size and time."""
        self._parts.begin_part()

    def close(self) -> None:
        """See `Sink.close`."""
        if self._file is not None:
            self._file.close()

    def _write_line(self, meta: FrameMeta, line: str) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8", newline="\n")
            if self._header is not None:
                self._file.write(f"{self._header}\n")
        self._file.write(f"{line}\n")
        self._file.flush()
        self._parts.count(meta)
