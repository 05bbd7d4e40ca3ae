"""rolling/: recordings split into files, of which the oldest may be removed."""

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from icstream.model import LabelSet
from icstream.stages.items import FrameMeta, SegmentedFrame, Size
from icstream.stages.sinks.event_rules import moment
from icstream.stages.sinks.fragments import last_fragment
from icstream.stages.sinks.masks_video import MasksVideo
from icstream.stages.sinks.overlay_video import OverlayVideo
from icstream.stages.sinks.rolling_index import (
    FOLDER,
    INDEX_FILE,
    RecordedTime,
    RollingFile,
    RollingIndex,
)
from icstream.stages.sinks.rolling_settings import RollingSettings
from icstream.stages.sinks.sink import Part

_LONGEST_STEP_S = 10
"""The interval between frames, in seconds, above which time has jumped or frames are missing."""


class RollingVideo:
    """A sink for masks, and optionally overlays, in files that begin at the same frames.

    Old files are removed whenever a new one begins. Each file is flushed to disk before the next
    begins.
    """

    num_held_back = 1

    def __init__(self, folder: Path, labels: LabelSet, settings: RollingSettings) -> None:
        self.wants_image = settings.overlay
        self._folder = folder / FOLDER
        self._labels = labels
        self._settings = settings
        self._index = RollingIndex(self._folder / INDEX_FILE)
        self._segments: list[RollingFile] | None = None
        """The segments that are kept, in order; None until files are accessed."""
        self._current: list[MasksVideo | OverlayVideo] = []
        self._num_frames = 0
        self._begins_part = False
        self._time = RecordedTime(longest_step_s=_longest_step_s(settings))

    @property
    def parts(self) -> list[Part]:
        """Implement `Sink.parts`; only parts that are kept are included."""
        segments = self._segments or []
        stops = [*(segment.start for segment in segments[1:]), self._num_frames]
        return [
            Part.beginning(f"{FOLDER}/{path.name}", segment.first, num_frames=stop - segment.start)
            for segment, stop in zip(segments, stops, strict=False)
            for path in self._paths(segment)
        ]

    def begin_part(self) -> None:
        """Implement `Sink.begin_part`."""
        self._begins_part = True

    def restart_point(self, at_most: int) -> int:
        """Implement `Sink.restart_point`; 0 if the file with that frame was removed."""
        segments = self._index.read()
        before = [segment for segment in segments if segment.start <= at_most]
        if not before:
            return 0
        last = before[-1]
        if last.start == at_most:  # the previous file is complete
            return last.start
        if last is not segments[-1] and not self._paths(last):
            return 0
        whole = (sink.restart_point(at_most - last.start) for sink in self._sinks(last))
        return last.start + min(whole)

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Implement `Sink.skip`."""
        self._num_frames += num_frames
        self._begins_part = False

    def write(self, frame: SegmentedFrame) -> None:
        """Implement `Sink.write`."""
        if self._segments is None:
            self._segments = self._settle()
        self._time.advance(frame.meta)
        if not self._segments or self._is_due(frame.meta, self._segments[-1]):
            self._begin(frame.meta, self._segments)
        for sink in self._current:
            sink.write(frame)
        self._num_frames += 1

    def size_fault(self, size: Size) -> str | None:
        """Implement `LimitedSink.size_fault`; the overlay may be left out alone."""
        return MasksVideo(self._folder).size_fault(size)

    def close(self) -> None:
        """Implement `Sink.close`."""
        if self._segments is None and self._num_frames:
            self._segments = self._settle()
        self._finish()
        self._index.close()

    def _settle(self) -> list[RollingFile]:
        """Remove the frames after the skipped ones, and open the last file again."""
        known = self._index.read()
        left = [segment for segment in known if segment.start < self._num_frames]
        for segment in known[len(left) :]:
            self._remove(segment)
        self._index.begin(left)
        kept = [segment for segment in left if self._paths(segment)]
        if kept:
            self._current = self._sinks(kept[-1])
            for sink in self._current:
                sink.skip(kept[-1].first, self._num_frames - kept[-1].start)
            self._time.go_on(kept[-1].jumped, self._last_time(kept[-1]))
        return kept

    def _last_time(self, segment: RollingFile) -> Fraction:
        """Return the time of the last recorded frame, which is in this segment."""
        path = self._folder / f"{segment.stem('masks')}.mp4"
        last = last_fragment(path, at_most=self._num_frames - segment.start)
        if last is None:
            return segment.time
        return Fraction(last.time, segment.first.time_base.denominator)

    def _is_due(self, meta: FrameMeta, segment: RollingFile) -> bool:
        """Return whether the frame begins a new file."""
        settings = self._settings
        if self._begins_part:
            return True
        if settings.file_s is not None:
            step = Fraction(str(settings.file_s))
            now = moment(meta.index, meta.pts, meta.time_base)
            # Frames that are slightly late do not begin a new file.
            if now > segment.time and now // step != segment.time // step:
                return True
        return settings.file_bytes is not None and self._size(segment) >= settings.file_bytes

    def _begin(self, meta: FrameMeta, segments: list[RollingFile]) -> None:
        self._finish()
        segment = RollingFile(self._num_frames, meta, self._time.jumped)
        segments.append(segment)
        self._index.add(segment)
        self._current = self._sinks(segment)
        self._begins_part = False
        while len(segments) > 1 and self._is_too_old(segments):
            self._remove(segments.pop(0))

    def _finish(self) -> None:
        """Close the current files, which are then flushed to disk."""
        for sink in self._current:
            sink.close()
        self._current = []

    def _is_too_old(self, segments: list[RollingFile]) -> bool:
        """Return whether the oldest file is due for removal."""
        settings = self._settings
        if settings.keep_files is not None and len(segments) > settings.keep_files:
            return True
        if settings.keep_s is not None and self._is_older(segments, Fraction(str(settings.keep_s))):
            return True
        if settings.keep_bytes is None:
            return False
        return sum(map(self._size, segments)) > settings.keep_bytes

    def _is_older(self, segments: Sequence[RollingFile], keep_s: Fraction) -> bool:
        """Return whether more than `keep_s` seconds were recorded since the end of the oldest file.

        After an outage this machine's clock also counts, but only together with the stream's:
        neither alone removes a file.
        """
        if segments[-1].recorded - segments[1].recorded > keep_s:
            return True
        if segments[-1].time - segments[1].time <= keep_s:
            return False
        written = [path.stat().st_mtime for path in self._paths(segments[0])]
        return time.time() - max(written, default=0) > keep_s

    def _sinks(self, segment: RollingFile) -> list[MasksVideo | OverlayVideo]:
        sinks: list[MasksVideo | OverlayVideo] = [
            MasksVideo(self._folder, stem=segment.stem("masks"))
        ]
        if self._settings.overlay:
            stem = segment.stem("overlay")
            sinks.append(OverlayVideo(self._folder, self._labels, stem=stem))
        return sinks

    def _paths(self, segment: RollingFile) -> list[Path]:
        """Return the segment's files that exist."""
        paths = (self._folder / f"{segment.stem(kind)}.mp4" for kind in ("masks", "overlay"))
        return [path for path in paths if path.exists()]

    def _size(self, segment: RollingFile) -> int:
        return sum(path.stat().st_size for path in self._paths(segment))

    def _remove(self, segment: RollingFile) -> None:
        for path in self._paths(segment):
            path.unlink()


def _longest_step_s(settings: RollingSettings) -> Fraction:
    """Return the largest regular interval between frames, longer if more time is kept."""
    return max(Fraction(_LONGEST_STEP_S), Fraction(str(settings.keep_s or 0)) / 60)
