"""The stages of one stream, joined in one process."""

import logging
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeAlias

from icstream.model import Segmenter, StageError
from icstream.stages import (
    End,
    FormatChange,
    Frame,
    FrameAccounting,
    FrameStage,
    Gap,
    Item,
    SegmentedFrame,
)
from icstream.stages.encode import Encode
from icstream.stages.preprocess import Preprocess
from icstream.stages.segment import Segment

log = logging.getLogger(__name__)

Result: TypeAlias = SegmentedFrame | Gap | FormatChange | End


class Chain:
    """A chain of stages that processes the items of a source as the workers of a run do."""

    def __init__(
        self,
        stages: Sequence[FrameStage[Any, Any]],
        encode: Encode,
        *,
        accounting: FrameAccounting,
    ) -> None:
        """Join the stages.

        Args:
            stages: the stages in order; the last returns what `encode` takes.
            encode: the last stage.
            accounting: the accounting of the stream.
        """
        self._stages = stages
        self._encode = encode
        self._accounting = accounting

    def run(self, source: Iterable[Item]) -> Generator[Result]:
        """Yield the result of each item; closing the generator closes the source's iterator."""
        items = iter(source)
        try:
            for item in items:
                if isinstance(item, Frame):
                    yield self._process(item)
                    continue
                if isinstance(item, FormatChange):
                    self._encode.begin_part()
                yield item
        finally:
            if isinstance(items, Generator):
                items.close()

    def _process(self, frame: Frame) -> SegmentedFrame | Gap:
        meta = frame.meta
        try:
            made: Any = frame
            for stage in self._stages:
                made = stage.process(made)
            return self._encode.process(made)
        except StageError as error:
            log.warning("%s: frame %d failed: %s", meta.stream, meta.index, error)
            self._accounting.failed[error.reason] += 1
            self._accounting.in_flight -= 1
            return Gap(meta.stream, meta.index, meta.pts, error.reason)


def segment_chain(segmenter: Segmenter, accounting: FrameAccounting) -> Chain:
    """Return the stages that follow a source, without sinks."""
    preprocess = Preprocess(fit=segmenter.fit, mean_color=segmenter.mean_color)
    encode = Encode([], accounting=accounting)
    return Chain([preprocess, Segment(segmenter)], encode, accounting=accounting)
