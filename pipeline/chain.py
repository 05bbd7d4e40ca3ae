"""The stages of one stream, joined in one process."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from icstream.model import Segmenter, StageError
from icstream.stages import Frame, FrameAccounting, Gap, Item, Stage
from icstream.stages.encode import Encode
from icstream.stages.latency import Latency
from icstream.stages.preprocess import Preprocess
from icstream.stages.segment import Segment
from icstream.stages.sinks import Sink

log = logging.getLogger(__name__)


def build_stages(
    segmenter: Segmenter, sinks: Sequence[Sink], accounting: FrameAccounting, *, keep_image: bool
) -> tuple[dict[str, Stage], Encode]:
    """Gives the stages of one stream in order, by name, and the last of them as itself."""
    wanted = keep_image or any(sink.wants_image for sink in sinks)
    encode = Encode(sinks, accounting=accounting, keep_image=keep_image)
    stages: dict[str, Stage] = {
        "preprocess": Preprocess(
            fit=segmenter.fit, mean_color=segmenter.mean_color, keep_image=wanted
        ),
        "segment": Segment(segmenter),
        "encode": encode,
    }
    return stages, encode


class Chain:
    """Pulls the items of a source through stages, keeping the books and the times.

    Attributes:
        latency: service time of each stage per frame, by stage name; of the source as "decode".
    """

    def __init__(
        self,
        stages: dict[str, Stage],
        *,
        accounting: FrameAccounting,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Joins the stages.

        Args:
            stages: by name, in order.
            accounting: of the stream.
            should_stop: asked before each item is read.
        """
        self._stages = stages
        self._books = accounting
        self._should_stop = should_stop
        self.latency: defaultdict[str, Latency] = defaultdict(Latency)

    def run(self, source: Iterable[Item]) -> Generator[Item]:
        """Gives what the last stage gives; ends early, in order, once `should_stop()` is true.

        Closing the generator closes the source's iterator too.
        """
        items = iter(source)
        try:
            joined = self._read(items)
            for name, stage in self._stages.items():
                joined = self._through(name, stage, joined)
            yield from joined
        finally:
            if isinstance(items, Generator):
                items.close()

    def _read(self, items: Iterator[Item]) -> Iterator[Item]:
        while not self._should_stop():
            start = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            if isinstance(item, Frame):
                self.latency["decode"].add(time.perf_counter() - start)
            yield item

    def _through(self, name: str, stage: Stage, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            start = time.perf_counter()
            try:
                done = list(stage.process(item))
            except StageError as error:
                if not isinstance(item, Frame):
                    raise
                done = [self._failed(item, error)]
            if isinstance(item, Frame):
                self.latency[name].add(time.perf_counter() - start)
            yield from done
        yield from stage.flush()

    def _failed(self, frame: Frame, error: StageError) -> Gap:
        log.warning("%s: frame %d failed: %s", frame.meta.stream, frame.meta.index, error)
        self._books.failed[error.reason] += 1
        self._books.in_flight -= 1
        return Gap(frame.meta.stream, frame.meta.index, frame.meta.pts, error.reason)
