"""Pieces of Supervisely's project format that its readers and writers share."""

import base64
import os
import shutil
import uuid
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import LabelSet
from icstream.model.files import write_atomically

_NAMESPACE = uuid.UUID("6f0f4c0e-6a52-5d0e-9b63-0d3d0c5bb3a4")


def stable_key(*parts: object) -> str:
    """Gives a 32-digit key that depends on the parts alone, so that runs can be compared."""
    return uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))).hex


def project_meta(labels: LabelSet, *, project_type: str) -> dict[str, Any]:
    """Gives the content of meta.json: each class as a bitmap in its colour."""
    classes = [
        {
            "title": name,
            "description": "",
            "shape": "bitmap",
            "color": "#{:02X}{:02X}{:02X}".format(*color),
            "geometry_config": {},
            "hotkey": "",
        }
        for name, color in zip(labels.names, labels.colors, strict=True)
    ]
    return {"classes": classes, "tags": [], "projectType": project_type}


def bitmap_geometry(mask_HW: NDArray[np.bool_]) -> dict[str, Any]:
    """Gives a mask with at least one true pixel as geometry: its bounding box and a 1-bit PNG."""
    binary = mask_HW.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(binary)
    crop = binary[y : y + height, x : x + width] * np.uint8(255)
    _, png = cv2.imencode(".png", crop, [cv2.IMWRITE_PNG_BILEVEL, 1])
    data = base64.b64encode(zlib.compress(png.tobytes())).decode("ascii")
    return {
        "bitmap": {"origin": [x, y], "data": data},
        "shape": "bitmap",
        "geometryType": "bitmap",
    }


def link_or_copy(source: Path, target: Path) -> None:
    """Make the file available under another path, which then is whole or not there."""

    def write(path: Path) -> None:
        try:
            os.link(source.resolve(), path)
        except OSError:  # another file system
            shutil.copyfile(source, path)

    write_atomically(target, write, durable=False)
