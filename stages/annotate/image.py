"""Inference over one annotated image, which adds the model's objects to the existing ones."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError
from icstream.stages.annotate import crops
from icstream.stages.annotate.existing import ExistingObjects
from icstream.stages.annotate.mode_parser import parse_mode
from icstream.stages.annotate.modes import Bboxes, FullImage, Roi, SlidingWindow, is_chosen
from icstream.stages.annotate.plan import AnnotationPlan, ModelClasses, make_plan
from icstream.stages.annotate.window_scores import Window, probabilities, sum_windows, winners
from icstream.stages.supervisely.classes import class_values
from icstream.stages.supervisely.geometries import Rectangle
from icstream.stages.supervisely.objects import bitmap_object, probability_object, rectangle_object

Predict: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""A function from an (H, W, 3) RGB crop to (K, h, w) scores, with channel 0 for the background."""
PredictMany: TypeAlias = Callable[[Iterable[NDArray[np.uint8]]], Iterator[NDArray[Any]]]
"""A function from crops to the scores of each, in order, which may process batches."""

_LABELS, _CLASSES = "probabilityLabels", "probabilityClasses"


def _go_on() -> None:
    """Do nothing."""


class Annotated(NamedTuple):
    """An image's new annotation, and the meta of its project."""

    annotation: dict[str, Any]
    meta: dict[str, Any]


def annotate_image(
    image: NDArray[np.uint8],
    annotation: Mapping[str, Any],
    meta: Mapping[str, Any],
    *,
    mode: Mapping[str, Any],
    classes: ModelClasses,
    predict: Predict,
    min_score_threshold: float = 0.0,
) -> Annotated:
    """Return the annotation with the model's objects, and the meta with their classes.

    Args:
        image: The (H, W, 3) RGB.
        annotation: The annotation of the image, as JSON values, which are not modified.
        meta: The meta of its project, as JSON values, which are not modified.
        mode: The section `mode` of a configuration, as JSON values.
        classes: The classes of the model in the order of channels, without the background.
        predict: A function that returns the (K, h, w) scores of an RGB crop, with channel 0 for the
            background: probabilities, or logits, to which softmax is applied. Scores of another
            size than the crop are interpolated.
        min_score_threshold: The best score below which pixels become background.

    Raises:
        ConfigError: The mode does not exist, or cannot be applied to this project or image.
        SampleError: The annotation does not fit the image, or one of its objects cannot be read.
    """
    plan = make_plan(parse_mode(mode), meta, classes, threshold=min_score_threshold)
    done = annotate(plan, image, annotation, lambda crops: map(predict, crops))
    return Annotated(done, plan.meta)


def annotate(
    plan: AnnotationPlan,
    image_HW3: NDArray[np.uint8],
    annotation: Mapping[str, Any],
    predict: PredictMany,
    *,
    check: Callable[[], None] = _go_on,
    unknown: Counter[str] | None = None,
) -> dict[str, Any]:
    """Return the new annotation of an image, as `annotate_image` does.

    Existing objects are passed through unchanged. Those of unsupported shapes are treated as
    outside the image, and counted.

    Args:
        plan: The mode and the classes.
        image_HW3: The RGB image.
        annotation: The annotation of the image, as JSON values.
        predict: A function that returns the scores of crops.
        check: A function that is called between steps, and may raise to abort.
        unknown: A counter of existing objects that could not be used, by shape.
    """
    if image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.dtype != np.uint8:
        raise ConfigError(
            f"an image must be (H, W, 3) uint8 RGB, got {image_HW3.shape} {image_HW3.dtype}"
        )
    size = (image_HW3.shape[0], image_HW3.shape[1])
    existing = ExistingObjects.read(annotation, plan.shapes, size)
    work = _Work(plan, image_HW3, existing, predict, check)
    work.run()
    if unknown is not None:
        unknown.update(existing.unknown.values())
    return {
        "description": "",
        **annotation,
        "objects": work.objects,
        "customBigData": {**(annotation.get("customBigData") or {}), **work.big_data()},
    }


@dataclass(slots=True, eq=False)
class _Work:
    """The objects found in one image."""

    plan: AnnotationPlan
    image_HW3: NDArray[np.uint8]
    existing: ExistingObjects
    predict: PredictMany
    check: Callable[[], None]
    objects: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    """The objects of `save_probabilities`, for customBigData."""

    def run(self) -> None:
        mode = self.plan.mode
        if isinstance(mode, Bboxes):
            self._boxes(mode)
            return
        self._keep(self.existing.entries)
        size = self.existing.size
        if isinstance(mode, FullImage | Roi):
            region = crops.region(size, mode.bounds) if isinstance(mode, Roi) else crops.whole(size)
            (scores_KHW,) = self._predict([region])
            self._add_crop(region, scores_KHW)
            self._add_box(region)
            return
        windows = list(crops.sliding(size, mode.window, mode.min_overlap))
        for window in windows:
            self._add_box(window)
        if isinstance(mode, SlidingWindow):
            self._merge(windows)

    def big_data(self) -> dict[str, Any]:
        """Return the content of customBigData."""
        if not self.scores:
            return {}
        shown = [
            class_values(c.title, c.color, "multichannelBitmap")
            for c in self.plan.classes
            if c.title is not None
        ]
        return {_LABELS: self.scores, _CLASSES: shown}

    def _keep(self, entries: Iterable[dict[str, Any]]) -> None:
        if self.plan.mode.existing_objects != "replace":
            self.objects.extend(entries)

    def _boxes(self, mode: Bboxes) -> None:
        windows: list[Window | None] = []
        for number, entry in enumerate(self.existing.entries):
            box = None
            self.check()
            if is_chosen(entry["classTitle"], mode.from_classes):
                box = self.existing.box(number)
            windows.append(box and crops.padded(box, mode.padding, self.existing.size))
        predicted = self._predict([window for window in windows if window is not None])
        for entry, window in zip(self.existing.entries, windows, strict=True):
            if window is not None:
                self._add_crop(window, next(predicted))
                self._add_box(window, entry["classTitle"])
            self._keep([entry])

    def _predict(self, windows: list[Window]) -> Iterator[NDArray[np.floating[Any]]]:
        """Yield the (K, H, W) probabilities of each window."""
        cut = (self.image_HW3[w.top : w.bottom, w.left : w.right] for w in windows)
        for window, scores_Khw in zip(windows, self.predict(cut), strict=True):
            self.check()
            num_channels = len(self.plan.classes) + 1
            yield probabilities(np.asarray(scores_Khw), window.size, num_channels)

    def _add_crop(self, window: Window, scores_KHW: NDArray[np.floating[Any]]) -> None:
        self._add_masks(window, winners(scores_KHW, threshold=self.plan.threshold))
        if self.plan.mode.save_probabilities:
            self._add_scores(window, scores_KHW)

    def _add_masks(self, window: Window, ids_HW: NDArray[np.uint8]) -> None:
        """Add an object for each class that has pixels, in the order of the channels."""
        for channel, (name, title, _) in enumerate(self.plan.classes, start=1):
            self.check()
            mask_HW = ids_HW == channel
            if title is None or not mask_HW.any() or self._is_there(name, mask_HW, window):
                continue
            self.objects.append(bitmap_object(title, mask_HW, top=window.top, left=window.left))

    def _is_there(self, name: str, mask_HW: NDArray[np.bool_], window: Window) -> bool:
        mode = self.plan.mode
        return (
            mode.existing_objects == "merge"
            and self.existing.overlap(name, mask_HW, window, check=self.check)
            >= mode.existing_objects_iou
        )

    def _add_scores(self, window: Window, scores_KHW: NDArray[np.floating[Any]]) -> None:
        for channel, (_, title, _) in enumerate(self.plan.classes, start=1):
            self.check()
            if title is not None:
                self.scores.append(
                    probability_object(title, scores_KHW[channel], top=window.top, left=window.left)
                )

    def _add_box(self, window: Window, title: str = "") -> None:
        box_title = self.plan.box_title(title)
        if box_title is not None:
            box = Rectangle(window.left, window.top, window.right - 1, window.bottom - 1)
            self.objects.append(rectangle_object(box_title, box))

    def _merge(self, windows: list[Window]) -> None:
        """Sum the windows' scores; only `save_probabilities` needs all of them at once."""
        mode, size = self.plan.mode, self.existing.size
        ids_HW = np.zeros(size, np.uint8)
        bands = []
        for top, sums_KbW, counts_bW in sum_windows(size, windows, self._predict(windows)):
            # Sums are compared rather than means: with equal counts, ties are exact to the last
            # bit.
            won_bW = winners(sums_KbW, threshold=0, order=self.plan.merge_order())
            best_bW = np.take_along_axis(sums_KbW, won_bW[None].astype(np.intp), 0)[0]
            won_bW[best_bW < self.plan.threshold * counts_bW] = 0
            ids_HW[top : top + len(won_bW)] = won_bW
            if mode.save_probabilities:
                bands.append(sums_KbW / counts_bW.astype(sums_KbW.dtype))
        window = crops.whole(size)
        self._add_masks(window, ids_HW)
        if bands:
            self._add_scores(window, np.concatenate(bands, axis=1))
