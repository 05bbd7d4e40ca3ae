"""The existing objects of an image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import SampleError
from icstream.stages.annotate.crops import box_of
from icstream.stages.annotate.window_scores import Window
from icstream.stages.input_files import naming, parse_json
from icstream.stages.supervisely.annotation import LabeledObject, Outline, is_known, shape_of
from icstream.stages.supervisely.geometries import ObjectGeometry


@dataclass(frozen=True, slots=True, eq=False)
class ExistingObjects:
    """The objects of an annotation, whose geometries are parsed only when needed."""

    entries: list[dict[str, Any]]
    """The objects' entries in the annotation."""
    shapes: Mapping[str, str]
    """The shape of each class of the project, by name."""
    size: tuple[int, int]
    """The (height, width) of the image."""
    unknown: dict[int, str] = field(default_factory=dict)
    """The unsupported shapes, by the number of the object that was used."""
    _pixels: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, annotation: Mapping[str, Any], shapes: Mapping[str, str], size: tuple[int, int]
    ) -> "ExistingObjects":
        """Return the objects of an annotation for an image of (height, width).

        Raises:
            SampleError: A field is missing, or of another type, class or size.
        """
        try:
            found = msgspec.convert(annotation, Outline)
        except msgspec.ValidationError as error:
            raise SampleError(f"the annotation: {error}") from error
        if not isinstance(annotation.get("customBigData") or {}, Mapping):
            raise SampleError("the annotation: customBigData is not an object")
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
        """Return the bounding box of an object, or None if it is outside the image.

        Objects of unsupported shapes have no box.

        Raises:
            SampleError: The object cannot be read.
        """
        geometry = self._geometry(number)
        return None if geometry is None else box_of(geometry, self.size)

    def overlap(
        self, title: str, mask_HW: NDArray[np.bool_], window: Window, *, check: Callable[[], None]
    ) -> float:
        """Return the IoU of a mask with the union of all objects of a class, within a window.

        `check` is called between objects, and may raise to abort.

        Raises:
            SampleError: One of the objects cannot be read.
        """
        if title not in self._pixels:
            self._pixels[title] = self._paint(title, check)
        canvas_HW = self._pixels[title]
        there_HW = canvas_HW[window.top : window.bottom, window.left : window.right] > 0
        union = np.count_nonzero(there_HW | mask_HW)
        return np.count_nonzero(there_HW & mask_HW) / union if union else 0.0

    def _paint(self, title: str, check: Callable[[], None]) -> NDArray[np.uint8]:
        canvas_HW = np.zeros(self.size, np.uint8)
        for number, entry in enumerate(self.entries):
            if entry["classTitle"] == title:
                check()
                if geometry := self._geometry(number):
                    geometry.paint(canvas_HW, 1)
        return canvas_HW

    def _geometry(self, number: int) -> ObjectGeometry | None:
        """Return the geometry of an object, or None if its shape is not supported."""
        entry = self.entries[number]
        title = entry["classTitle"]
        with naming(f"object {number} ({title!r})"):
            read = parse_json(msgspec.json.encode(entry), LabeledObject)
            shape = shape_of(read, self.shapes[title])
            if shape and not is_known(shape):
                self.unknown[number] = shape
                return None
            return read.geometry(shape)
