"""Calibration of weights for int8 on the images of a data set."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icstream.model import Checkpoint, ConfigError
from icstream.model.calibrate import calibrate_ranges
from icstream.stages.data import LabeledData
from icstream.stages.evaluate.evaluation import CorruptedSample
from icstream.stages.evaluate.scoring import OnProgress, ignore_progress, load_all


def calibrate_on(
    checkpoint: Checkpoint,
    data: LabeledData,
    *,
    split: str = "train",
    num_images: int = 32,
    on_progress: OnProgress = ignore_progress,
) -> Checkpoint:
    """Return the checkpoint with ranges for int8, measured on images from all over a split.

    Labels are ignored; samples that cannot be loaded are left out.

    Raises:
        ConfigError: The split does not exist, no images were requested, or activations are not
            finite.
        SampleError: No sample can be loaded.
    """
    if num_images < 1:
        raise ConfigError(f"images to calibrate on: got {num_images}, at least 1 is needed")
    samples = data.split(split)
    places = np.linspace(0, len(samples) - 1, min(num_images, len(samples))).round()
    chosen = [samples[int(place)] for place in places]
    corrupted: list[CorruptedSample] = []

    def images() -> Iterator[NDArray[np.uint8]]:
        for _, image in load_all(chosen, corrupted, on_progress):
            yield image.rgb_HW3

    where = f"{len(chosen)} images of {Path(data.origin).name} {split}"
    return calibrate_ranges(checkpoint, images(), calibrated_on=where)
