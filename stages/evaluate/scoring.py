"""Scoring a segmenter on labeled images."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icstream.model import Segmenter
from icstream.stages.confusion import Confusion
from icstream.stages.data import LabeledData, LabeledImage, Sample, SampleError
from icstream.stages.evaluate.evaluation import CorruptedSample, Evaluation, FrameScore
from icstream.stages.evaluate.matching import Matching

if TYPE_CHECKING:
    from icstream.stages.evaluate.exits import Exits

log = logging.getLogger(__name__)

OnProgress = Callable[[int, int], None]
"""A function that is called after each sample with the numbers of those done and of all."""


def ignore_progress(_done: int, _all: int) -> None:
    """Ignore progress."""


def evaluate_dataset(
    segmenter: Segmenter,
    data: LabeledData,
    *,
    split: str = "val",
    exits: "Exits | None" = None,
    on_progress: OnProgress = ignore_progress,
) -> Evaluation:
    """Return the scores of a segmenter's masks on one split, as `Evaluation.protocol` describes.

    Args:
        segmenter: The segmenter, with any weights, runtime, precision and fit.
        data: The data set, whose classes are matched as by `Matching`.
        split: The split of the data.
        exits: The heads of the same checkpoint, to score them too.
        on_progress: A function that is called after each sample.

    Raises:
        ConfigError: The split does not exist, or there is no common class.
        SampleError: No sample can be loaded.
    """
    begun = time.monotonic()
    samples = data.split(split)
    matching = Matching.of(data.labels, segmenter.labels)
    for note in matching.notes:
        log.warning("%s", note)
    for text in data.left_out:
        log.warning("left out: %s", text)
    for fault in data.corrupted:
        log.warning("left out, its split is unknown: %s", fault)
    total = matching.confusion()
    exit_totals: dict[str, Confusion] = {}
    frames: list[FrameScore] = []
    corrupted: list[CorruptedSample] = []
    for sample, image in load_all(samples, corrupted, on_progress):
        truth_HW = matching.truth_ids[image.ids_HW]
        frame = matching.confusion()
        frame.add(matching.predicted_ids[segmenter(image.rgb_HW3)], truth_HW)
        total.counts += frame.counts
        frames.append(FrameScore(sample.name, frame.miou()))
        if exits is not None:
            _add_exits(exit_totals, exits(image.rgb_HW3), truth_HW, matching)
    return Evaluation(
        origin=data.origin,
        split=split,
        matching=matching,
        confusion=total,
        exits=exit_totals,
        frames=tuple(frames),
        corrupted=tuple(corrupted),
        without_split=data.corrupted,
        choice=segmenter.choice,
        fit=segmenter.fit,
        digest=segmenter.digest,
        seconds=time.monotonic() - begun,
        left_out=data.left_out,
    )


def load_all(
    samples: Sequence[Sample], corrupted: list[CorruptedSample], on_progress: OnProgress
) -> Iterator[tuple[Sample, LabeledImage]]:
    """Yield the samples that can be loaded, one by one, and append the others to `corrupted`.

    Raises:
        SampleError: No sample can be loaded.
    """
    for index, sample in enumerate(samples, start=1):
        try:
            image = sample.load()
        except SampleError as error:
            log.warning("left out: %s", error)
            corrupted.append(CorruptedSample(name=sample.name, error=str(error)))
        else:
            yield sample, image
        on_progress(index, len(samples))
    if len(corrupted) == len(samples):
        raise SampleError(f"none of the {len(samples)} samples can be used: {corrupted[0].error}")


def _add_exits(
    totals: dict[str, Confusion],
    masks: Mapping[str, NDArray[np.uint8]],
    truth_HW: NDArray[np.uint8],
    matching: Matching,
) -> None:
    for name, ids_HW in masks.items():
        total = totals.setdefault(name, matching.confusion())
        total.add(matching.predicted_ids[ids_HW], truth_HW)
