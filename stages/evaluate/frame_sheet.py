"""Contact sheets of the worst and best frames."""

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import Segmenter
from icstream.stages.contact_sheet import draw_contact_sheet
from icstream.stages.data import LabeledData, Sample
from icstream.stages.evaluate.evaluation import Evaluation
from icstream.stages.evaluate.matching import Matching

_LARGEST = (360, 480)
"""The (height, width) to which larger images are shrunk."""
_CAPTION = 22
_INK = (30, 30, 30)


def draw_frame_sheet(
    evaluation: Evaluation, segmenter: Segmenter, data: LabeledData, *, num_each: int = 4
) -> NDArray[np.uint8]:
    """Return an RGB sheet of images, masks and truth of the worst and the best frames.

    The frames are read and segmented again. Void is black.

    Args:
        evaluation: The evaluation of this segmenter on this data, with a score for at least one
            frame.
        segmenter: The segmenter of the evaluation.
        data: The data of the evaluation.
        num_each: The number of worst and of best frames; no frame is shown twice.

    Raises:
        SampleError: A frame can no longer be read.
    """
    ranked = evaluation.ranked()
    best = ranked[num_each:][-num_each:]
    samples = {sample.name: sample for sample in data.split(evaluation.split)}
    frames = [*ranked[:num_each], *reversed(best)]
    rows = [_row(samples[f.name], segmenter, evaluation.matching) for f in frames]
    height, width = np.max([row[0].shape[:2] for row in rows], axis=0).tolist()
    captions = [f"{frame.name}: mIoU {100 * frame.miou:.1f} %" for frame in frames]
    return draw_contact_sheet(
        [
            [
                _panel(image, (height, width), text)
                for image, text in zip(row, (caption, "", ""), strict=True)
            ]
            for row, caption in zip(rows, captions, strict=True)
        ],
        titles=["worst, then best frames", "masks", "truth"],
        labels=evaluation.matching.labels,
    )


def _row(sample: Sample, segmenter: Segmenter, matching: Matching) -> list[NDArray[np.uint8]]:
    """Return image, masks and truth in colors, no larger than `_LARGEST`."""
    loaded = sample.load()
    palette = matching.labels.palette()
    masks_HW3 = palette[matching.predicted_ids[segmenter(loaded.rgb_HW3)]]
    truth_HW3 = palette[matching.truth_ids[loaded.ids_HW]]
    return [_shrink(image) for image in (loaded.rgb_HW3, masks_HW3, truth_HW3)]


def _shrink(image_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image_HW3.shape[:2]
    scale = min(1.0, _LARGEST[0] / height, _LARGEST[1] / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), np.uint8)


def _panel(image_HW3: NDArray[np.uint8], size: tuple[int, int], caption: str) -> NDArray[np.uint8]:
    """Return the image within a white panel, below its caption."""
    panel = np.full((_CAPTION + size[0], size[1], 3), 255, np.uint8)
    height, width = image_HW3.shape[:2]
    panel[_CAPTION : _CAPTION + height, :width] = image_HW3
    cv2.putText(
        panel, caption, (0, _CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA
    )
    return panel
