"""events.jsonl: a line for each beginning and end of an event."""

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import IO

from icstream.model import ConfigError, LabelSet
from icstream.model.files import naming_file, sync_folder
from icstream.stages.class_areas import count_class_pixels
from icstream.stages.items import FrameMeta, SegmentedFrame
from icstream.stages.sinks.event_rules import (
    EventRule,
    EventSettings,
    RuleState,
    event_line,
)
from icstream.stages.sinks.line_sink import find_end_of_lines
from icstream.stages.sinks.parts import PartList
from icstream.stages.sinks.sink import Part

FILE = "events.jsonl"
STATE_FILE = "events.state"
_COUNT_BYTES = 16
"""The length of the state file's first line, which holds the number of frames."""


class EventLines:
    """The sink for events, with its state for continuation in `events.state`."""

    wants_image = False
    num_held_back = 0

    def __init__(self, folder: Path, labels: LabelSet, settings: EventSettings) -> None:
        """Check and keep the rules.

        Raises:
            ConfigError: There are none, or one names an unknown class.
        """
        if not settings.rules:
            raise ConfigError("sink events: there are no rules; set output.events.rules")
        self._folder = folder
        self._num_classes = len(labels)
        self._rules = [EventRule.of(rule, labels) for rule in settings.rules]
        self._states = [RuleState() for _ in self._rules]
        self._log = EventLog(folder / STATE_FILE)
        self._file: IO[str] | None = None
        self._num_lines = 0
        self._parts = PartList(FILE)

    @property
    def parts(self) -> list[Part]:
        """Implement `Sink.parts`; the frames are those that were examined."""
        return self._parts.all()

    def begin_part(self) -> None:
        """Implement `Sink.begin_part`; the file continues."""
        self._parts.begin_part()

    def restart_point(self, at_most: int) -> int:
        """Implement `Sink.restart_point`."""
        return min(at_most, self._log.num_frames())

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Implement `Sink.skip`."""
        self._parts.count(first, num_frames)

    def write(self, frame: SegmentedFrame) -> None:
        """Implement `Sink.write`."""
        with naming_file(self._folder / FILE):
            self._examine(frame, self._file or self._open())

    def _examine(self, frame: SegmentedFrame, file: IO[str]) -> None:
        areas = count_class_pixels(frame.class_ids)
        self._parts.count(frame.meta)
        for place, rule in enumerate(self._rules):
            share = Fraction(int(areas[rule.class_id]), frame.class_ids.size)
            before = self._states[place]
            after = before.after(rule, share, frame.meta)
            if after is before:
                continue
            if after.active != before.active:
                line = event_line("begin" if after.active else "end", rule, share, frame.meta)
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
                self._num_lines += 1
            self._states[place] = after
            self._log.note(self._parts.num_frames, place, after, self._num_lines)
        self._log.count(self._parts.num_frames)

    def close(self) -> None:
        """Implement `Sink.close`."""
        if self._file is None and self._parts.num_frames:
            self._open()
        if self._file is not None:
            self._file.close()
            self._log.close()
            sync_folder(self._folder)

    def _open(self) -> IO[str]:
        """Truncate the file after the events of skipped frames."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._num_lines = self._log.open(self._parts.num_frames, self._states)
        path = self._folder / FILE
        path.touch()
        os.truncate(path, find_end_of_lines(path, at_most=self._num_lines)[1])
        self._file = path.open("a", encoding="utf-8", newline="\n")
        return self._file


class EventLog:
    """The file events.state: the number of examined frames, and each change of a rule's state."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def num_frames(self) -> int:
        """Return the number of frames that an earlier process examined."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            head = file.read(_COUNT_BYTES).strip()
        return int(head) if head.isdigit() else 0

    def open(self, num_done: int, states: list[RuleState]) -> int:
        """Set `states` to the states after a number of frames, and drop later changes.

        Returns:
            The number of event lines that had been written by then.
        """
        self._file = self._path.open("r+b" if num_done else "w+b")
        num_lines, end = 0, _COUNT_BYTES
        self._file.seek(end)
        for line in self._file if num_done else ():
            if not line.endswith(b"\n"):
                break
            frames, place, active, since, lines = json.loads(line)
            if frames > num_done:
                break
            states[place] = RuleState(active, since and (since[0], since[1], Fraction(since[2])))
            num_lines, end = lines, end + len(line)
        self._file.truncate(end)
        self.count(num_done)
        self._file.seek(end)
        return num_lines

    def note(self, num_frames: int, place: int, state: RuleState, num_lines: int) -> None:
        """Record the state of a rule after a number of frames."""
        assert self._file is not None
        since = state.since and (state.since[0], state.since[1], str(state.since[2]))
        values = [num_frames, place, state.active, since, num_lines]
        self._file.write(json.dumps(values).encode() + b"\n")
        self._file.flush()

    def count(self, num_frames: int) -> None:
        """Record the number of examined frames."""
        assert self._file is not None
        os.pwrite(self._file.fileno(), b"%0*d\n" % (_COUNT_BYTES - 1, num_frames), 0)

    def close(self) -> None:
        """Close the file, which then survives a power failure."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
