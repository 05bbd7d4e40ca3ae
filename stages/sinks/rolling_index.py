"""rolling/segments.jsonl: where each file of a rolling recording begins."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

from icstream.model.files import write_atomically
from icstream.stages.items import FrameMeta
from icstream.stages.sinks.event_rules import moment


@dataclass(frozen=True, slots=True)
class RollingFile:
    """One file of a rolling recording, and the one beside it of the same frames."""

    start: int
    """How many frames were recorded before it."""
    first: FrameMeta

    @property
    def time(self) -> Fraction:
        """When it begins, in the stream's own time."""
        return moment(self.first.index, self.first.pts, self.first.time_base)

    def stem(self, kind: str) -> str:
        """Return the name of its file of that kind, without suffix."""
        return f"{kind}.{self.start:09}"


class RollingIndex:
    """Writes a line for each segment before its first frame, and reads them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def read(self) -> list[RollingFile]:
        """Return the segments that an earlier process began."""
        if not self._path.exists():
            return []
        lines = self._path.read_bytes().splitlines(keepends=True)
        return [_segment(line) for line in lines if line.endswith(b"\n")]

    def begin(self, segments: Iterable[RollingFile]) -> None:
        """Leave these segments in the file, and no other."""
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(map(_line, segments))
        write_atomically(self._path, lines.encode(), durable=False)
        self._file = self._path.open("a", encoding="utf-8", newline="\n")

    def add(self, segment: RollingFile) -> None:
        """Note that a segment begins."""
        assert self._file is not None
        self._file.write(_line(segment))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(segment: RollingFile) -> str:
    first = segment.first
    values = {
        "file": f"{segment.stem('masks')}.mp4",
        "start": segment.start,
        "stream": first.stream,
        "index": first.index,
        "pts": first.pts,
        "time_base": str(first.time_base),
        "size": list(first.size),
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def _segment(line: bytes) -> RollingFile:
    values = json.loads(line)
    height, width = values["size"]
    time_base = Fraction(values["time_base"])
    first = FrameMeta(values["stream"], values["index"], values["pts"], time_base, (height, width))
    return RollingFile(values["start"], first)
