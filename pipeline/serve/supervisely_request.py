"""Parsing and checking of the plugin's requests, before any work begins."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icstream.model.geometry import MAX_PIXELS
from icstream.pipeline.serve.bounded_json import decode_object
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.forms import parse_form
from icstream.pipeline.serve.images import image_size
from icstream.pipeline.serve.models import Model
from icstream.pipeline.settings.serve import LimitSettings
from icstream.stages.annotate import AnnotationPlan, Mode, crops, make_plan, parse_mode
from icstream.stages.annotate.modes import Bboxes, FullImage, Roi, SlidingWindow, SlidingWindowDet
from icstream.stages.annotate.network import label_classes
from icstream.stages.supervisely.objects import image_annotation

_SUFFIX = "_model"
"""Suffix that the plugin's service adds to class names by default."""
_NO_META: dict[str, Any] = {"classes": [], "tags": []}
_MAX_COVER = 16
"""Most pixels of all windows together, as a multiple of the largest image."""
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """An image, and the way to annotate it."""

    plan: AnnotationPlan
    image: bytes
    size: tuple[int, int]
    """Size of the image, as (height, width)."""
    annotation: dict[str, Any]
    crop: tuple[int, int] | None
    """Size of all crops, as (height, width), or None if they differ."""

    def work_bytes(self, model: Model) -> int:
        """Return the memory of the work, in bytes."""
        mode = self.plan.mode
        num_bytes = model.work_bytes(self.crop or self.size, use="scores")
        num_channels = len(self.plan.classes) + 1
        height, width = self.size
        if isinstance(mode, SlidingWindow):  # sums and counts of a row of windows
            num_bytes += 3 * num_channels * _FLOAT_BYTES * width * mode.window.height
        if mode.save_probabilities:  # all scores, packed and as text
            num_bytes += 4 * num_channels * _FLOAT_BYTES * height * width
        if self.annotation.get("objects") and (
            isinstance(mode, Bboxes) or mode.existing_objects == "merge"
        ):
            num_bytes += 2 * MAX_PIXELS  # a bitmap, packed as a bit per pixel
        return num_bytes


def read_inference(
    body: bytes, content_type: str, model: Model, *, limits: LimitSettings
) -> Inference:
    """Return the inference that a form requests.

    Raises:
        RefusedError: no image, JSON that cannot be used, or more than the limits allow.
        ConfigError: a mode or a meta that cannot be used, or a mode that does not fit the image.
    """
    form = parse_form(body, content_type, max_text_bytes=limits.json_bytes)
    if "image" not in form:
        raise RefusedError("bad_request", "the form has no part named image")
    image = form["image"]
    plan = _plan(form, model, limits)
    size = image_size(image, max_pixels=limits.pixels)
    annotation = _values(form, "annotation", limits) or _empty_annotation(size)
    _check_crops(plan.mode, size, annotation, limits)
    return Inference(plan, image, size, annotation, _crop_size(plan.mode, size))


def read_meta(body: bytes, content_type: str, model: Model, *, limits: LimitSettings) -> bytes:
    """Return, as JSON, the meta of the project that an inference with this form creates.

    Raises:
        RefusedError: JSON is invalid, or a limit is exceeded.
        ConfigError: the mode or the meta is invalid.
    """
    form = parse_form(body, content_type, max_text_bytes=limits.json_bytes)
    try:
        return json.dumps(_plan(form, model, limits).meta, ensure_ascii=False).encode()
    except (RecursionError, UnicodeEncodeError) as error:
        raise RefusedError("bad_request", f"meta: cannot be written ({error})") from error


def _plan(form: Mapping[str, bytes], model: Model, limits: LimitSettings) -> AnnotationPlan:
    mode = _values(form, "mode", limits) or {"name": "full_image"}
    meta = _NO_META | (_values(form, "meta", limits) or {})
    return make_plan(parse_mode(mode, suffix=_SUFFIX), meta, label_classes(model.labels))


def _values(form: Mapping[str, bytes], name: str, limits: LimitSettings) -> dict[str, Any] | None:
    """Return the JSON object in a part, or None if the part is missing or empty."""
    data = form.get(name, b"").strip()
    return decode_object(data, limits.json_bytes, what=name) if data else None


def _check_crops(
    mode: Mode, size: tuple[int, int], annotation: Mapping[str, Any], limits: LimitSettings
) -> None:
    """Check that a mode does not exceed the limits on parts of the image."""
    if isinstance(mode, SlidingWindow | SlidingWindowDet):
        number = crops.count_sliding(size, mode.window, mode.min_overlap)
        num_pixels = number * mode.window.width * mode.window.height
    elif isinstance(mode, Bboxes):
        objects = annotation.get("objects")
        number = len(objects) if isinstance(objects, list) else 0
        num_pixels = 0  # boxes are known only when objects are read
    else:
        return
    if number > limits.crops:
        raise RefusedError(
            "too_much_work",
            f"mode {mode.name}: {number} crops exceed the allowed {limits.crops} (limits.crops)",
        )
    if num_pixels > _MAX_COVER * limits.pixels:
        raise RefusedError(
            "too_much_work",
            f"mode {mode.name}: {number} windows have {num_pixels} pixels together, but at most"
            f" {_MAX_COVER} x {limits.pixels} are allowed (limits.pixels)",
        )


def _crop_size(mode: Mode, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the (height, width) of all crops of an image, or None if they differ."""
    if isinstance(mode, FullImage):
        return size
    if isinstance(mode, Roi):
        return crops.region(size, mode.bounds).size
    if isinstance(mode, SlidingWindow):
        return mode.window.height, mode.window.width
    return None


def _empty_annotation(size: tuple[int, int]) -> dict[str, Any]:
    return {**image_annotation(size, []), "customBigData": {}}
