"""The segment stage, which runs the network."""

from icstream.model import Segmenter
from icstream.stages.items import PreparedFrame, ScoredFrame


class Segment:
    """The stage that adds the network's logits; the encode stage upsamples them.

    The logits belong to the segmenter and are overwritten by the next frame.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def process(self, frame: PreparedFrame) -> ScoredFrame:
        """Implement `FrameStage.process`."""
        scores = self._segmenter.scores(frame.network_input, frame.geometry)
        return ScoredFrame(frame.meta, frame.image, scores)
