"""Statistics of the samples of a training, measured before the first step."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from statistics import median

import numpy as np
import torch
from torch import Tensor

from icstream.model import ConfigError
from icstream.stages.data import VOID, LabeledData, LabeledImage, Sample, SampleError

log = logging.getLogger(__name__)

MAX_MEASURED = 500
"""The largest number of samples of a split that are measured."""
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class SampleStatistics:
    """The statistics of the samples of a split."""

    pixels_K: Tensor
    """The labeled pixels of each class."""
    side: int
    """The typical shorter side of an image, in pixels."""
    has_void: bool = False
    """Whether there are pixels without a class."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """The digest of the image and labels of each measured sample, by name."""


def measure_samples(samples: Sequence[Sample], num_classes: int) -> SampleStatistics:
    """Return the statistics of samples, without those that cannot be used.

    At most `MAX_MEASURED` samples are measured, evenly spaced.
    """
    pixels = np.zeros(256, np.int64)
    sides, digests = [], {}
    for sample in spread_evenly(samples):
        try:
            image = sample.load()
        except SampleError:
            continue
        pixels += np.bincount(image.ids_HW.ravel(), minlength=256)
        sides.append(min(image.ids_HW.shape))
        digests[sample.name] = _digest(image)
    return SampleStatistics(
        torch.from_numpy(pixels[:num_classes]),
        int(median(sides)) if sides else 0,
        has_void=bool(pixels[VOID]),
        digests=digests,
    )


def spread_evenly(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return at most `MAX_MEASURED` of the samples, evenly spaced."""
    return samples[:: -(-len(samples) // MAX_MEASURED)]


def warn_of_absent_classes(data: LabeledData, statistics: SampleStatistics) -> None:
    """Warn about classes that cannot be learned, as no training image has a pixel of them."""
    absent = [
        repr(name)
        for name, count in zip(data.labels.names, statistics.pixels_K, strict=True)
        if not count
    ]
    if not absent:
        return
    num_samples, num_seen = len(data.split("train")), len(statistics.digests)
    where = "the training set"
    if num_samples > MAX_MEASURED:
        where = f"{num_seen} of {num_samples} training images"
    log.warning(
        "%s %s in %s%s",
        _some("class", "classes", absent),
        "has no pixel" if len(absent) == 1 else "have no pixel",
        where,
        "; label images have pixels of the value 255, which is void"
        if statistics.has_void and data.format != "supervisely"
        else "",
    )


def check_labeled(data: LabeledData, split: str) -> None:
    """Check that a sample of a split has a pixel with a class.

    Raises:
        ConfigError: None has, or no sample can be used.
    """
    samples, errors = data.split(split), []
    for sample in samples:
        try:
            ids_HW = sample.load().ids_HW
        except SampleError as error:
            errors.append(str(error))
            continue
        if (ids_HW < len(data.labels)).any():
            return
    where = f"{data.origin}: split {split!r}"
    if len(errors) == len(samples):
        raise ConfigError(
            f"{where}: none of its {len(samples)} samples can be used, the first: {errors[0]}"
        )
    raise ConfigError(f"{where}: no pixel has a class, all are void")


def _digest(image: LabeledImage) -> str:
    digest = blake2b(repr(image.ids_HW.shape).encode(), digest_size=16)
    for pixels in (image.ids_HW, image.rgb_HW3):
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _some(one: str, many: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{one if len(names) == 1 else many} {', '.join(names[:_MAX_NAMED])}{more}"
