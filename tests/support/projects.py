"""Small labeled data sets for tests."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def packed(pixels: NDArray[Any], *, with_zlib: bool = True) -> str:
    """Return an image in the form of Supervisely's bitmaps."""
    png = cv2.imencode(".png", pixels)[1].tobytes()
    return base64.b64encode(zlib.compress(png) if with_zlib else png).decode("ascii")


def bitmap(origin: Sequence[float], data: str) -> dict[str, Any]:
    return {"bitmap": {"origin": list(origin), "data": data}}


def outline(exterior: Sequence[Any], interior: Sequence[Any] = ()) -> dict[str, Any]:
    return {"points": {"exterior": list(exterior), "interior": list(interior)}}


def thing(title: str, geometry: Mapping[str, Any], shape: str = "") -> dict[str, Any]:
    """Return an object of an annotation."""
    kind = {"geometryType": shape, "shape": shape} if shape else {}
    return {"classTitle": title, "description": "", "tags": [], **kind, **geometry}


class Project:
    """A Supervisely image project under construction."""

    def __init__(self, folder: Path, classes: Mapping[str, str], **meta: object) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        entries = [
            {"title": name, "shape": shape, "color": f"#{k + 1:02X}{10 * k:02x}FF"}
            for k, (name, shape) in enumerate(classes.items())
        ]
        values = {"classes": entries, "tags": [], "projectType": "images", **meta}
        (folder / "meta.json").write_text(json.dumps(values))

    def add(
        self,
        name: str,
        *,
        tags: Sequence[Any] = (),
        objects: Sequence[Any] = (),
        size: tuple[int, int] = (6, 8),
        dataset: str = "ds",
        annotation: str | None = None,
    ) -> tuple[Path, Path]:
        """Add an image of one color and its annotation, and return both paths."""
        image = self.folder / dataset / "img" / name
        ann = self.folder / dataset / "ann" / (annotation or f"{name}.json")
        for path in (image, ann):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size[::-1], (200, 100, 50)).save(image)
        values = {
            "description": "",
            "size": {"height": size[0], "width": size[1]},
            "tags": list(tags),
            "objects": list(objects),
        }
        ann.write_text(json.dumps(values))
        return image, ann


def make_folder(
    folder: Path, lists: Mapping[str, Mapping[str, NDArray[np.uint8]]], *, suffix: str = ".png"
) -> Path:
    """Create images/, labels/ and lists, and return the folder."""
    for split, labels in lists.items():
        for name, ids_HW in labels.items():
            for part, end in (("images", suffix), ("labels", ".png")):
                path = folder / part / f"{name}{end}"
                path.parent.mkdir(parents=True, exist_ok=True)
                if part == "labels":
                    Image.fromarray(ids_HW).save(path)
                else:
                    Image.new("RGB", ids_HW.shape[::-1], (10, 20, 30)).save(path)
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in labels))
    return folder
