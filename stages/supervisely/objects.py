"""Annotations of images as JSON values, exactly as Supervisely's SDK writes them."""

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icstream.stages.items import Size
from icstream.stages.supervisely.geometries import Rectangle


def image_annotation(size: Size, objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the annotation of an image of (height, width) with objects."""
    return {"description": "", "size": size_values(size), "tags": [], "objects": list(objects)}


def size_values(size: Size) -> dict[str, int]:
    """Return a (height, width) in the form of annotations."""
    return {"height": size[0], "width": size[1]}


def bitmap_object(title: str, mask_HW: NDArray[np.bool_], *, top: int, left: int) -> dict[str, Any]:
    """Return the object of a mask with at least one true pixel.

    Args:
        title: The name of its class.
        mask_HW: The (H, W) mask of the object in a crop.
        top: The first row of the crop in the image.
        left: The first column of the crop in the image.
    """
    binary_HW = mask_HW.view(np.uint8)
    x, y, width, height = cv2.boundingRect(binary_HW)
    png = _transparent_png(binary_HW[y : y + height, x : x + width])
    bitmap = {"origin": [left + x, top + y], "data": _packed(png)}
    return _object(title, "bitmap", {"bitmap": bitmap})


def rectangle_object(title: str, rectangle: Rectangle) -> dict[str, Any]:
    """Return the object of a rectangle between two corners, inclusive."""
    corners = [[rectangle.left, rectangle.top], [rectangle.right, rectangle.bottom]]
    return _object(title, "rectangle", {"points": {"exterior": corners, "interior": []}})


def probability_object(
    title: str, scores_HW: NDArray[np.floating[Any]], *, top: int, left: int
) -> dict[str, Any]:
    """Return the probabilities of one class in a crop as an object with customBigData."""
    file = io.BytesIO()
    np.save(file, scores_HW[..., None])
    bitmap = {"origin": [left, top], "data": _packed(file.getvalue())}
    return _object(title, "multichannelBitmap", {"multichannelBitmap": bitmap})


def bitmap_geometry(mask_HW: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the geometry of a mask with at least one true pixel: its origin and a 1-bit PNG."""
    binary_HW = mask_HW.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(binary_HW)
    crop_HW = binary_HW[y : y + height, x : x + width] * np.uint8(255)
    _, png = cv2.imencode(".png", crop_HW, [cv2.IMWRITE_PNG_BILEVEL, 1])
    return {"bitmap": {"origin": [x, y], "data": _packed(png.tobytes())}, **_shape("bitmap")}


def _object(title: str, shape: str, geometry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "classTitle": title,
        "description": "",
        "tags": [],
        **geometry,
        **_shape(shape),
        "nnCreated": False,
        "nnUpdated": False,
    }


def _shape(shape: str) -> dict[str, str]:
    return {"shape": shape, "geometryType": shape}


def _transparent_png(binary_HW: NDArray[np.uint8]) -> bytes:
    """Return a PNG with one bit per pixel whose zeros are transparent."""
    image = Image.fromarray(binary_HW)
    image.putpalette([0, 0, 0, 255, 255, 255])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0)
    return file.getvalue()


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode("ascii")
