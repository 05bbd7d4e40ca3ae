"""The responses for an image: indexed PNG, overlay, run lengths or annotation."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from icstream.model import LabelSet
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.models import Model
from icstream.stages.annotate.network import has_background
from icstream.stages.class_areas import count_class_pixels
from icstream.stages.coco_rle import class_masks
from icstream.stages.sinks import Blend
from icstream.stages.sinks.png_masks import write_png
from icstream.stages.supervisely.objects import bitmap_object, image_annotation

PNG = "image/png"
JPEG = "image/jpeg"
JSON = "application/json"
SUPERVISELY = "application/vnd.icstream.supervisely+json"
_JPEG_QUALITY = 90
_JPEG_MAX_SIDE = 65_500  # jmorecfg.h: JPEG_MAX_DIMENSION


@dataclass(slots=True)
class Reply:
    """A response made by a worker."""

    body: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def mask_reply(
    model: Model, image_HW3: NDArray[np.uint8], ids_HW: NDArray[np.uint8], *, media_type: str
) -> Reply:
    """Return an image's class ids in one of the `FORMS`."""
    body = FORMS[media_type](model, image_HW3, ids_HW)
    shares = class_shares(ids_HW, model.labels)
    listed = ", ".join(f"c{k}={share:.6f}" for k, share in shares.items())
    return Reply(body, media_type, {"Class-Shares": listed})


def check_form(media_type: str, size: tuple[int, int]) -> None:
    """Check that a form of answer can have a size, as (height, width).

    Raises:
        RefusedError: It cannot.
    """
    if media_type == JPEG and max(size) > _JPEG_MAX_SIDE:
        raise RefusedError(
            "not_acceptable",
            f"{JPEG} has sides up to {_JPEG_MAX_SIDE} pixels, but the image has"
            f" {size[1]}x{size[0]}; accept {PNG}",
        )


def class_shares(ids_HW: NDArray[np.uint8], labels: LabelSet) -> dict[int, float]:
    """Return the share of pixels, 0 to 1, of each class that occurs."""
    areas = count_class_pixels(ids_HW, len(labels))
    return {int(k): int(areas[k]) / ids_HW.size for k in np.flatnonzero(areas)}


def _png(model: Model, _image_HW3: NDArray[np.uint8], ids_HW: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    write_png(ids_HW, model.labels, file)
    return file.getvalue()


def _jpeg(model: Model, image_HW3: NDArray[np.uint8], ids_HW: NDArray[np.uint8]) -> bytes:
    blended_HW3 = cv2.cvtColor(Blend(model.labels)(image_HW3, ids_HW), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", blended_HW3, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()


def _run_lengths(model: Model, _image_HW3: NDArray[np.uint8], ids_HW: NDArray[np.uint8]) -> bytes:
    classes = class_masks(ids_HW, model.labels.names)
    return msgspec.json.encode(
        {"model": model.name, "size": list(ids_HW.shape), "classes": classes}
    )


def _supervisely(model: Model, _image_HW3: NDArray[np.uint8], ids_HW: NDArray[np.uint8]) -> bytes:
    first = 1 if has_background(model.labels) else 0
    present = np.unique(ids_HW).tolist()
    objects = [
        bitmap_object(model.labels.names[k], ids_HW == k, top=0, left=0)
        for k in present
        if first <= k < len(model.labels)
    ]
    size = (ids_HW.shape[0], ids_HW.shape[1])
    return msgspec.json.encode(image_annotation(size, objects))


FORMS: Mapping[str, Callable[[Model, NDArray[np.uint8], NDArray[np.uint8]], bytes]] = {
    PNG: _png,
    JPEG: _jpeg,
    JSON: _run_lengths,
    SUPERVISELY: _supervisely,
}
"""Encoders by media type, the default first."""
