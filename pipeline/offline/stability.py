"""Measurement of how much masks change from one frame of a recording to the next."""

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from icstream.model import ConfigError, Segmenter, SourceError
from icstream.pipeline.chain import segment_chain
from icstream.stages import FrameAccounting, SegmentedFrame
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.evaluate.scoring import OnProgress, ignore_progress
from icstream.stages.evaluate.stability import Stability


@dataclass(frozen=True, slots=True)
class MeasuredStability:
    """The stability of a segmenter's masks in a recording."""

    recording: str
    stability: Stability
    accounting: FrameAccounting
    """The accounting of the recording, which shows what could not be read."""

    def values(self, segmenter: Segmenter) -> dict[str, Any]:
        """Return the results as plain JSON values."""
        return {
            "source": self.recording,
            **self.stability.values(segmenter.labels.names),
            "chosen": asdict(segmenter.choice),
            "fit": asdict(segmenter.fit),
            "hashes": {"weights": segmenter.digest},
        }


def measure_stability(
    segmenter: Segmenter,
    recording: str,
    *,
    on_progress: OnProgress = ignore_progress,
) -> MeasuredStability:
    """Segment a recording, and compare each mask with the one before.

    Args:
        segmenter: The segmenter.
        recording: A video file, or a folder or glob of images in order.
        on_progress: A function that is called after each frame.

    Raises:
        ConfigError: It is not one recording.
        SourceError: No frame can be read.
    """
    specs = find_sources([recording])
    if len(specs) != 1 or specs[0].kind == "live":
        raise ConfigError(f"--temporal: {recording}: must be one recording or folder of images")
    accounting = FrameAccounting()
    stability = Stability(len(segmenter.labels))
    chain = segment_chain(segmenter, accounting)
    try:
        with (
            open_source(specs[0], accounting=accounting) as source,
            closing(chain.run(source)) as items,
        ):
            for item in items:
                if not isinstance(item, SegmentedFrame):
                    stability.interrupt()
                    continue
                stability.add(item.require_image(), item.class_ids)
                on_progress(stability.num_frames, source.info.num_frames or stability.num_frames)
    except SourceError as error:
        if not stability.num_frames:
            raise
        accounting.cut_short = str(error)
    return MeasuredStability(recording, stability, accounting)
