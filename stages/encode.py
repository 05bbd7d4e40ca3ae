"""The encode stage, which computes the masks and writes them to the sinks."""

from collections.abc import Sequence
from contextlib import ExitStack

from icstream.model.errors import StageError
from icstream.model.planar import interleaved
from icstream.stages.accounting import FrameAccounting
from icstream.stages.items import FrameMeta, ScoredFrame, SegmentedFrame
from icstream.stages.sinks.sink import Sink, any_wants_image, common_size_fault

_MAX_LATE_S = 1
"""The lateness of a frame, in seconds, above which a new part begins."""


class Encode:
    """The stage that upsamples logits to class ids, writes frames to all sinks, and counts them."""

    def __init__(
        self, sinks: Sequence[Sink], *, accounting: FrameAccounting, num_done: int = 0
    ) -> None:
        """Take ownership of the sinks, which `close` closes.

        Args:
            sinks: The sinks.
            accounting: The counters of the stream.
            num_done: The number of first frames that were written before, which are passed to
                `skip`.
        """
        self.num_frames = 0
        """The number of frames that all sinks have written."""
        self.part = -1
        """The number of the last frame's part, from 0."""
        self.wants_image = any_wants_image(sinks)
        """Whether a sink needs the image of each frame."""
        self._begins_part = True
        self._num_done = num_done
        self._sinks = sinks
        self._accounting = accounting
        self._last: FrameMeta | None = None

    @property
    def next_is_done(self) -> bool:
        """Whether the next frame was written before."""
        return self.num_frames < self._num_done

    def process(self, frame: ScoredFrame) -> SegmentedFrame:
        """Implement `FrameStage.process`.

        Raises:
            StageError: No sink can write a frame of this size.
        """
        meta, image = frame.meta, frame.image
        if (fault := common_size_fault(self._sinks, meta.size)) is not None:
            raise StageError("no sink for its size", f"frame {meta.index}: {fault}")
        class_ids = frame.scores.class_ids()
        self._begin_part_if_needed(meta)
        if image is not None and self.wants_image:
            image = interleaved(image)
        segmented = SegmentedFrame(meta, class_ids, image)
        for sink in self._sinks:
            sink.write(segmented)
        self._count_encoded(meta)
        return segmented

    def skip(self, meta: FrameMeta) -> None:
        """Count a frame that was written before, in its place in the order."""
        self._begin_part_if_needed(meta)
        for sink in self._sinks:
            sink.skip(meta, 1)
        self._count_encoded(meta)

    def begin_part(self) -> None:
        """Make the next frame the first of a new part, as after a `FormatChange`."""
        for sink in self._sinks:
            sink.begin_part()
        self._last = None
        self._begins_part = True

    def resume(self, runs: Sequence[tuple[FrameMeta, int]], last: FrameMeta | None) -> None:
        """Continue after frames that were written and counted before.

        Args:
            runs: The first frame of each part, and its number of frames.
            last: The last frame of all.
        """
        for first, num_frames in runs:
            self.begin_part()
            for sink in self._sinks:
                sink.skip(first, num_frames)
            self._count(first, num_frames)
        self._last = last

    @property
    def num_durable(self) -> int:
        """The number of frames that would survive if the process ended now."""
        held_back = max((sink.num_held_back for sink in self._sinks), default=0)
        return max(self.num_frames - held_back, min(self.num_frames, self._num_done))

    def close(self) -> None:
        """Close every sink, even if one of them fails."""
        with ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)

    def _begin_part_if_needed(self, meta: FrameMeta) -> None:
        if self._last is not None and not _continues(self._last, meta):
            self.begin_part()

    def _count_encoded(self, meta: FrameMeta) -> None:
        self._count(meta, 1)
        self._accounting.encoded += 1
        self._accounting.in_flight -= 1

    def _count(self, meta: FrameMeta, num_frames: int) -> None:
        self.num_frames += num_frames
        self.part += self._begins_part
        self._begins_part = False
        self._last = meta


def _continues(last: FrameMeta, meta: FrameMeta) -> bool:
    """Return whether a frame can follow another in one file.

    A frame that is slightly late, or has the time of another, can; each sink handles it for its
    format.
    """
    if (last.size, last.time_base) != (meta.size, meta.time_base):
        return False
    if last.pixel_aspect != meta.pixel_aspect:
        return False
    if last.pts is None or meta.pts is None:
        return last.pts is meta.pts
    return (last.pts - meta.pts) * meta.time_base <= _MAX_LATE_S
