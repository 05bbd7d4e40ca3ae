"""rolling/segments.jsonl: the beginning of each file of a rolling recording."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

from icstream.model.files import write_atomically
from icstream.stages.items import FrameMeta
from icstream.stages.sinks.event_rules import moment

FOLDER = "rolling"
INDEX_FILE = "segments.jsonl"


def rolling_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a rolling recording in a stream's folder."""
    for path in (folder / FOLDER).glob("*"):
        is_video = re.fullmatch(r"(masks|overlay)\.\d{9,}\.mp4", path.name)
        if is_video or path.name == INDEX_FILE:
            yield path


@dataclass(frozen=True, slots=True)
class RollingFile:
    """One file of a rolling recording, and its counterpart with the same frames."""

    start: int
    """The number of frames recorded before it."""
    first: FrameMeta
    jumped: Fraction = Fraction(0)
    """The sum of jumps of the stream's time before it, in seconds, as in `RecordedTime`."""

    @property
    def time(self) -> Fraction:
        """The beginning, in the stream's own time."""
        return moment(self.first.index, self.first.pts, self.first.time_base)

    @property
    def recorded(self) -> Fraction:
        """The beginning, in recorded time."""
        return self.time - self.jumped

    def stem(self, kind: str) -> str:
        """Return the name of its file of a kind, without suffix."""
        return f"{kind}.{self.start:09}"


class RecordedTime:
    """The recorded time: the stream's own time without jumps.

    Cameras may shift times by hours; which files are kept must not depend on such a jump.
    """

    def __init__(self, *, longest_step_s: Fraction) -> None:
        """Start before the first frame; a longer or backward step is a jump."""
        self.jumped = Fraction(0)
        self._longest_step_s = longest_step_s
        self._last: Fraction | None = None

    def go_on(self, jumped: Fraction, last: Fraction) -> None:
        """Continue after a frame at a time."""
        self.jumped, self._last = jumped, last

    def advance(self, meta: FrameMeta) -> None:
        """Record the time of the next frame."""
        now = moment(meta.index, meta.pts, meta.time_base)
        step = Fraction(0) if self._last is None else now - self._last
        if not 0 <= step <= self._longest_step_s:
            self.jumped += step
        self._last = now


class RollingIndex:
    """The index of segments, with a line for each that is written before its first frame."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def read(self) -> list[RollingFile]:
        """Return the segments that an earlier process started."""
        if not self._path.exists():
            return []
        lines = self._path.read_bytes().splitlines(keepends=True)
        return [_segment(line) for line in lines if line.endswith(b"\n")]

    def begin(self, segments: Iterable[RollingFile]) -> None:
        """Replace the content of the file by these segments."""
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(map(_line, segments))
        write_atomically(self._path, lines.encode(), durable=True)
        self._file = self._path.open("a", encoding="utf-8", newline="\n")

    def add(self, segment: RollingFile) -> None:
        """Record the beginning of a segment."""
        assert self._file is not None
        self._file.write(_line(segment))
        self._file.flush()
        os.fsync(self._file.fileno())

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
    if segment.jumped:
        values["jumped"] = str(segment.jumped)
    return json.dumps(values, ensure_ascii=False) + "\n"


def _segment(line: bytes) -> RollingFile:
    values = json.loads(line)
    height, width = values["size"]
    time_base = Fraction(values["time_base"])
    first = FrameMeta(values["stream"], values["index"], values["pts"], time_base, (height, width))
    return RollingFile(values["start"], first, Fraction(values.get("jumped", 0)))
