"""The encode stage: finishes the masks and hands them to the sinks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from icstream.model import Scores, StageError
from icstream.model.planar import interleaved
from icstream.stages.accounting import FrameAccounting
from icstream.stages.items import ClassIds, FormatChange, Frame, FrameMeta, Item
from icstream.stages.sinks import Sink


class Encode:
    """Upsamples scores to class ids, writes each frame to every sink, and counts it."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        accounting: FrameAccounting,
        keep_image: bool,
        num_done: int = 0,
    ) -> None:
        """Takes the sinks over; `close` closes them.

        Args:
            sinks: where frames go.
            accounting: of the stream.
            keep_image: whether frames come out with their image.
            num_done: the first frames were written before: they are only counted.
        """
        self.num_frames = 0
        """Frames that all sinks have."""
        self.part = -1
        """Number of the part that the last frame is in, from 0."""
        self._begins_part = True
        self._num_done = num_done
        self._sinks = sinks
        self._books = accounting
        self._keep_image = keep_image
        self._wants_image = any(sink.wants_image for sink in sinks)
        self._last: FrameMeta | None = None

    def process(self, item: Item) -> Iterator[Item]:
        """See `Stage.process`; frames come out with `ClassIds`."""
        if isinstance(item, FormatChange):
            self._begin_part()
        if not isinstance(item, Frame):
            yield item
            return
        done = self.num_frames < self._num_done
        if isinstance(item.result, Scores):
            item = replace(item, result=ClassIds(item.result.class_ids()))
        if item.result is None and not done:
            raise StageError("no result", f"frame {item.meta.index} was not segmented")
        if self._last is not None and not _continues(self._last, item.meta):
            self._begin_part()
        if item.image is not None and self._wants_image:
            item = replace(item, image=interleaved(item.image))
        for sink in self._sinks:
            sink.skip(item.meta, 1) if done else sink.write(item)
        self._count(item.meta, 1)
        self._books.encoded += 1
        self._books.in_flight -= 1
        yield replace(item, image=item.image if self._keep_image else None, canvas=None)

    def go_on(self, runs: Sequence[tuple[FrameMeta, int]], last: FrameMeta | None) -> None:
        """Begins behind frames that were written before; they are counted as encoded.

        Args:
            runs: the first frame of each part, and how many frames there were in it.
            last: the last frame of all.
        """
        for first, num_frames in runs:
            self._begin_part()
            for sink in self._sinks:
                sink.skip(first, num_frames)
            self._count(first, num_frames)
        self._last = last

    @property
    def num_durable(self) -> int:
        """How many frames would still be there if the process ended now."""
        held_back = max((sink.num_held_back for sink in self._sinks), default=0)
        return max(self.num_frames - held_back, min(self.num_frames, self._num_done))

    def flush(self) -> Iterable[Item]:
        """See `Stage.flush`; nothing is held back."""
        return ()

    def close(self) -> None:
        """Closes every sink, also if one of them fails."""
        with ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)

    def _begin_part(self) -> None:
        for sink in self._sinks:
            sink.begin_part()
        self._last = None
        self._begins_part = True

    def _count(self, meta: FrameMeta, num_frames: int) -> None:
        self.num_frames += num_frames
        self.part += self._begins_part
        self._begins_part = False
        self._last = meta


def _continues(last: FrameMeta, meta: FrameMeta) -> bool:
    """True if the frame can follow the other in one file."""
    if (last.size, last.time_base) != (meta.size, meta.time_base):
        return False
    if last.pts is None or meta.pts is None:
        return last.pts is meta.pts
    return meta.pts > last.pts
