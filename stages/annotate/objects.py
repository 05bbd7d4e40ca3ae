"""Objects, classes and scores as Supervisely's JSON, in the very form that its SDK writes."""

import base64
import io
import zlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icstream.stages.annotate.window_scores import Window
from icstream.stages.supervisely.format import stable_key


def bitmap_object(title: str, mask_HW: NDArray[np.bool_], *, top: int, left: int) -> dict[str, Any]:
    """Gives a mask with at least one true pixel as an object.

    Args:
        title: of its class.
        mask_HW: (H, W), where the object is in a crop.
        top: row of the image at which the crop begins.
        left: column of the same.
    """
    binary_HW = mask_HW.view(np.uint8)
    x, y, width, height = cv2.boundingRect(binary_HW)
    png = _png(binary_HW[y : y + height, x : x + width])
    bitmap = {"origin": [left + x, top + y], "data": _packed(png)}
    return _object(title, "bitmap", {"bitmap": bitmap})


def rectangle_object(title: str, window: Window) -> dict[str, Any]:
    """Gives a window as an object; the format's corners are both in it."""
    corners = [[window.left, window.top], [window.right - 1, window.bottom - 1]]
    return _object(title, "rectangle", {"points": {"exterior": corners, "interior": []}})


def probability_object(
    title: str, scores_HW: NDArray[np.floating[Any]], *, top: int, left: int
) -> dict[str, Any]:
    """Gives the scores of one class over a crop as an object of customBigData."""
    file = io.BytesIO()
    np.save(file, scores_HW[..., None])
    bitmap = {"origin": [left, top], "data": _packed(file.getvalue())}
    return _object(title, "multichannelBitmap", {"multichannelBitmap": bitmap})


def class_entry(title: str, color: str, shape: str) -> dict[str, Any]:
    """Gives a class of meta.json; the colour is "#RRGGBB"."""
    return {
        "title": title,
        "description": "",
        "shape": shape,
        "color": color,
        "geometry_config": {},
        "hotkey": "",
    }


def stable_color(title: str) -> str:
    """Gives a colour that depends on the name alone; the plugin drew one anew in every run."""
    return f"#{stable_key('color', title)[:6].upper()}"


def _object(title: str, shape: str, geometry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "classTitle": title,
        "description": "",
        "tags": [],
        **geometry,
        "shape": shape,
        "geometryType": shape,
        "nnCreated": False,
        "nnUpdated": False,
    }


def _png(binary_HW: NDArray[np.uint8]) -> bytes:
    """Gives zeros and ones as a PNG of one bit per pixel whose zeros are transparent."""
    image = Image.fromarray(binary_HW)
    image.putpalette([0, 0, 0, 255, 255, 255])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0)
    return file.getvalue()


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode("ascii")
