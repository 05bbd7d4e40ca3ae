"""The objects that an image has already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import SampleError
from icstream.stages.annotate.crops import box_of
from icstream.stages.annotate.window_scores import Window
from icstream.stages.input_files import naming, parse_json
from icstream.stages.supervisely.annotation import LabeledObject, Outline
from icstream.stages.supervisely.geometries import ObjectGeometry


@dataclass(frozen=True, slots=True, eq=False)
class ExistingObjects:
    """Objects of an annotation; each geometry is read only when it is asked for."""

    entries: list[dict[str, Any]]
    """The objects, as they stand in the annotation."""
    shapes: Mapping[str, str]
    """Shape of each class of the project, by name."""
    size: tuple[int, int]
    """Height and width of the image."""
    _pixels: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, annotation: Mapping[str, Any], shapes: Mapping[str, str], size: tuple[int, int]
    ) -> "ExistingObjects":
        """Return the objects of an annotation, which must be that of an image of (height, width).

        Raises:
            SampleError: something is missing, or of another kind, class or size.
        """
        try:
            found = msgspec.convert(annotation, Outline)
        except msgspec.ValidationError as error:
            raise SampleError(f"the annotation: {error}") from error
        stated = (found.size.height, found.size.width)
        if stated != size:
            raise SampleError(
                f"the image is {size[1]}x{size[0]}, its annotation is for {stated[1]}x{stated[0]}"
            )
        for number, title in enumerate(found.titles()):
            if title not in shapes:
                raise SampleError(f"object {number}: meta.json has no class {title!r}")
        return cls(list(annotation["objects"]), shapes, size)

    def box(self, number: int) -> Window | None:
        """Return the box around an object; None if the object lies outside the image.

        Raises:
            SampleError: the object cannot be read.
        """
        return box_of(self._geometry(number), self.size)

    def overlap(self, title: str, mask_HW: NDArray[np.bool_], window: Window) -> float:
        """Return the IoU of a mask with all objects of a class together, inside a window.

        Raises:
            SampleError: one of the objects cannot be read.
        """
        if title not in self._pixels:
            self._pixels[title] = self._paint(title)
        canvas_HW = self._pixels[title]
        there_HW = canvas_HW[window.top : window.bottom, window.left : window.right] > 0
        union = np.count_nonzero(there_HW | mask_HW)
        return np.count_nonzero(there_HW & mask_HW) / union if union else 0.0

    def _paint(self, title: str) -> NDArray[np.uint8]:
        canvas_HW = np.zeros(self.size, np.uint8)
        for number, entry in enumerate(self.entries):
            if entry["classTitle"] == title:
                self._geometry(number).paint(canvas_HW, 1)
        return canvas_HW

    def _geometry(self, number: int) -> ObjectGeometry:
        entry = self.entries[number]
        title = entry["classTitle"]
        with naming(f"object {number} ({title!r})"):
            read = parse_json(msgspec.json.encode(entry), LabeledObject)
            return read.geometry(self.shapes[title])
