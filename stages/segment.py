"""The segment stage: runs the network."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from icstream.model import Segmenter, StageError
from icstream.stages.items import Frame, Item


class Segment:
    """Gives each prepared frame its scores; upsampling and argmax are left to the encode stage.

    The scores belong to the segmenter and are overwritten when the next frame comes.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def process(self, item: Item) -> Iterator[Item]:
        """See `Stage.process`."""
        if not isinstance(item, Frame):
            yield item
            return
        if item.prepared is None:
            raise StageError("not prepared", f"frame {item.meta.index} skipped preprocessing")
        scores = self._segmenter.scores(item.prepared.rgb_hw3, item.prepared.geometry)
        yield replace(item, prepared=None, result=scores)

    def flush(self) -> Iterable[Item]:
        """See `Stage.flush`; nothing is held back."""
        return ()
