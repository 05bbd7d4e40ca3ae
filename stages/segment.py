"""The segment stage: runs the network."""

from icstream.model import Segmenter
from icstream.stages.items import PreparedFrame, ScoredFrame


class Segment:
    """Adds the network's scores; upsampling and argmax are left to the encode stage.

    The scores belong to the segmenter and are overwritten when the next frame comes.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def process(self, frame: PreparedFrame) -> ScoredFrame:
        """See `FrameStage.process`."""
        scores = self._segmenter.scores(frame.network_input, frame.geometry)
        return ScoredFrame(frame.meta, frame.image, scores)
