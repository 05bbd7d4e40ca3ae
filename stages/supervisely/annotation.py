"""Annotations of images, read from JSON: tags, and objects with their geometries."""

import base64
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

import cv2
import numpy as np
from msgspec import Meta, Raw, Struct
from numpy.typing import NDArray

from icstream.model.errors import SampleError
from icstream.stages.image_files import check_size, png_header, unpack_by_opencv
from icstream.stages.input_files import _T, parse_json
from icstream.stages.supervisely.geometries import (
    Bitmap,
    Cuboid,
    Dots,
    Line,
    ObjectGeometry,
    Polygon,
    Rectangle,
)

_MAX_COORDINATE = 2**20  # far outside any image, but within OpenCV's exact range
_MAX_PNG_BYTES = 64 * 2**20

_Coordinate: TypeAlias = Annotated[float, Meta(ge=-_MAX_COORDINATE, le=_MAX_COORDINATE)]
_Point: TypeAlias = tuple[_Coordinate, _Coordinate]
_Points: TypeAlias = Annotated[list[_Point], Meta(min_length=1)]


class Tag(Struct):
    """A tag of the image, without its value."""

    name: str


class Overview(Struct):
    """The parts of an annotation that determine an image's split, with objects unparsed."""

    tags: list[Tag | str]
    objects: list[Raw]

    def tag_names(self) -> set[str]:
        """Return the names of the tags, which are plain strings in old annotations."""
        return {tag if isinstance(tag, str) else tag.name for tag in self.tags}

    def unknown_shapes(self, shapes: Mapping[str, str]) -> Counter[str]:
        """Return the number of objects by unknown shape (see `LabeledObject`).

        Args:
            shapes: The shapes of classes by name. Objects of other classes are ignored.
        """
        unknown: Counter[str] = Counter()
        for raw in self.objects:
            try:
                entry = parse_json(raw, _Shaped)
            except SampleError:
                continue  # reported when the image is loaded
            shape = shape_of(entry, shapes.get(entry.class_title, ""))
            if shape and not is_known(shape):
                unknown[shape] += 1
        return unknown


class _Size(Struct):
    height: int
    width: int


class _Titled(Struct, rename="camel"):
    class_title: str


class Outline(Struct):
    """An annotation whose objects are parsed later, one by one."""

    size: _Size
    tags: list[Any]
    objects: list[_Titled]

    def titles(self) -> list[str]:
        """Return the class of each object."""
        return [entry.class_title for entry in self.objects]


class _Shaped(Struct, rename="camel"):
    """The parts of an object that determine its shape."""

    class_title: str
    geometry_type: str = ""
    shape: str = ""


def shape_of(entry: _Shaped, class_shape: str) -> str:
    """Return the shape of an object, given that of its class in meta.json; "" if there is none."""
    return class_shape if class_shape != "any" else entry.geometry_type or entry.shape


def is_known(shape: str) -> bool:
    """Return whether objects of a shape can be painted; newer projects may have other shapes."""
    return shape in _READERS


class LabeledObject(_Shaped, rename="camel"):
    """An object, whose geometry to be read depends on the shape of its class."""

    bitmap: Raw = Raw()
    points: Raw = Raw()
    nodes: Raw = Raw()
    faces: Raw = Raw()

    def geometry(self, class_shape: str) -> ObjectGeometry:
        """Return the geometry for the shape of the class in meta.json.

        Raises:
            SampleError: The geometry is missing, damaged, or of a shape without pixels.
        """
        shape = shape_of(self, class_shape)
        if not shape:
            raise SampleError("a class of shape any needs objects with a geometryType")
        if not is_known(shape):
            known = ", ".join(_READERS)
            raise SampleError(f"shape {shape!r} is not supported; supported are {known}")
        return _READERS[shape](self)


class Annotation(Struct):
    """The objects of an image, in the order in which they are painted."""

    objects: list[LabeledObject]


class _Contours(Struct):
    exterior: list[_Point]
    interior: list[_Points]


class _Bitmap(Struct):
    origin: _Point
    data: str
    """The data in base64, which may contain line breaks."""


class _Node(Struct):
    loc: _Point
    disabled: bool = False


def _part(raw: Raw, name: str, kind: type[_T]) -> _T:
    if not bytes(raw):
        raise SampleError(f"{name!r} is missing")
    try:
        return parse_json(raw, kind)
    except SampleError as error:
        raise SampleError(f"{name!r}: {error}") from error


def _array(points: list[_Point]) -> NDArray[np.int32]:
    """Return (N, 2) whole coordinates; halves are rounded to the even number, as Python does."""
    return np.rint(np.array(points, np.float64).reshape(-1, 2)).astype(np.int32)


def _exterior(entry: LabeledObject, *, at_least: int, at_most: int | None) -> NDArray[np.int32]:
    points = _part(entry.points, "points", _Contours).exterior
    if len(points) < at_least or (at_most is not None and len(points) > at_most):
        wanted = f"{at_least}" if at_most == at_least else f"at least {at_least}"
        raise SampleError(f"{len(points)} points in 'exterior', needed are {wanted}")
    return _array(points)


def _bitmap(entry: LabeledObject) -> Bitmap:
    found = _part(entry.bitmap, "bitmap", _Bitmap)
    (left, top) = _array([found.origin])[0].tolist()
    png = _png(_from_base64(found.data))
    header = png_header(png)
    check_size(header.width, header.height)
    pixels = unpack_by_opencv(png, cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        mask_HW = pixels[..., 3] > 0
    elif pixels.ndim == 2:
        mask_HW = pixels > 0
    else:
        raise SampleError(f"a bitmap has 1 or 4 channels, this one has {pixels.shape[2]}")
    if not mask_HW.any():
        raise SampleError("the bitmap is empty")
    return Bitmap(left, top, mask_HW)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise SampleError("'bitmap': Invalid base64 encoded string") from error


def _png(data: bytes) -> bytes:
    """Return the PNG of a bitmap, which is usually compressed again by zlib."""
    if data.startswith(b"\x89PNG"):
        return data
    unpacker = zlib.decompressobj()
    try:
        png = unpacker.decompress(data, _MAX_PNG_BYTES)
    except zlib.error as error:
        raise SampleError("the bitmap is neither a PNG nor compressed by zlib") from error
    if unpacker.unconsumed_tail:
        raise SampleError(f"the bitmap is larger than the allowed {_MAX_PNG_BYTES >> 20} MiB")
    return png


def _polygon(entry: LabeledObject) -> Polygon:
    exterior_N2 = _exterior(entry, at_least=1, at_most=None)
    interiors = _part(entry.points, "points", _Contours).interior
    return Polygon(exterior_N2, tuple(map(_array, interiors)))


def _rectangle(entry: LabeledObject) -> Rectangle:
    corners_N2 = _exterior(entry, at_least=2, at_most=2)
    (left, top), (right, bottom) = corners_N2.min(0).tolist(), corners_N2.max(0).tolist()
    return Rectangle(left, top, right, bottom)


def _line(entry: LabeledObject) -> Line:
    return Line(_exterior(entry, at_least=2, at_most=None))


def _point(entry: LabeledObject) -> Dots:
    return Dots(_exterior(entry, at_least=1, at_most=1))


def _graph(entry: LabeledObject) -> Dots:
    nodes = _part(entry.nodes, "nodes", dict[str, _Node])
    if not nodes:
        raise SampleError("a graph without nodes")
    return Dots(_array([node.loc for node in nodes.values() if not node.disabled]))


def _cuboid(entry: LabeledObject) -> Cuboid:
    points_N2 = _array(_part(entry.points, "points", list[_Point]))
    faces = _part(entry.faces, "faces", list[Annotated[list[int], Meta(min_length=1)]])
    if any(not 0 <= i < len(points_N2) for face in faces for i in face):
        raise SampleError(f"a face names a point that is not among the {len(points_N2)}")
    return Cuboid(tuple(points_N2[face] for face in faces))


_READERS: Mapping[str, Callable[[LabeledObject], ObjectGeometry]] = {
    "bitmap": _bitmap,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "line": _line,
    "point": _point,
    "graph": _graph,
    "cuboid": _cuboid,
}
