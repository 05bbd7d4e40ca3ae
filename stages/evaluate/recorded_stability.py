"""Measurement of how much masks change from one frame of a recording to the next."""

from dataclasses import asdict, dataclass
from typing import Any

from icstream.model import ConfigError, Segmenter, SourceError
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.evaluate.scoring import OnProgress, ignore_progress
from icstream.stages.evaluate.stability import Stability
from icstream.stages.items import Frame


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
    try:
        with open_source(specs[0], accounting=accounting) as source:
            for item in source:
                if not isinstance(item, Frame) or item.image is None:
                    stability.interrupt()
                    continue
                stability.add(item.image, segmenter(item.image))
                on_progress(stability.num_frames, source.info.num_frames or stability.num_frames)
    except SourceError as error:
        if not stability.num_frames:
            raise
        accounting.cut_short = str(error)
    return MeasuredStability(recording, stability, accounting)
