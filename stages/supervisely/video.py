"""Annotations of videos: objects, and their figures in the frames."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from icstream.model.errors import SampleError
from icstream.stages.items import Size
from icstream.stages.supervisely.keys import stable_key
from icstream.stages.supervisely.objects import size_values

_GEOMETRY = ("bitmap", "points", "shape", "geometryType")
"""The keys of an image's object that form its geometry."""
_BEGIN_FRAMES = ',\n"frames": [\n'


class _Object(Struct, rename="camel"):
    key: str
    class_title: str


class _Figure(Struct, rename="camel"):
    object_key: str
    geometry_type: str
    geometry: dict[str, Any]


class _Frame(Struct):
    index: int
    figures: list[_Figure]


class _Size(Struct):
    height: int
    width: int


class _Annotation(Struct):
    size: _Size
    objects: list[_Object]
    frames: list[_Frame]


def check_video_annotation(values: Mapping[str, Any]) -> None:
    """Check that values are a valid annotation of a video.

    Raises:
        SampleError: A field is missing or of another type, or a figure belongs to no object.
    """
    try:
        found = msgspec.convert(values, _Annotation)
    except msgspec.ValidationError as error:
        raise SampleError(str(error)) from error
    known = {entry.key for entry in found.objects}
    for frame in found.frames:
        if any(figure.object_key not in known for figure in frame.figures):
            raise SampleError(f"frame {frame.index}: a figure belongs to no object")


def empty_video_annotation(video: str) -> dict[str, Any]:
    """Return the annotation of a video without objects and frames.

    Args:
        video: The name of the video, from which its key is derived.
    """
    return {"description": "", "key": stable_key(video), "tags": [], "objects": []}


def video_head(video: str, size: Size, objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the annotation of a video of (height, width) with objects, without frames."""
    return {"size": size_values(size), **empty_video_annotation(video), "objects": list(objects)}


def video_object(video: str, title: str) -> dict[str, Any]:
    """Return the object of a video for a class."""
    return {"key": object_key(video, title), "classTitle": title, "tags": []}


def object_key(video: str, title: str) -> str:
    """Return the key of a video's object for a class."""
    return stable_key(video, title)


def video_figure(
    video: str, title: str, geometry_type: str, geometry: Mapping[str, Any], *number: int
) -> dict[str, Any]:
    """Return the figure of an object in a frame.

    Args:
        video: The name of the video.
        title: The name of the object's class.
        geometry_type: The type of the geometry.
        geometry: The geometry, as in an image's object.
        number: The figure's distinction from others of its object: the frame's index, and its
            number if a frame may have several.
    """
    return {
        "key": stable_key(video, title, *number),
        "objectKey": object_key(video, title),
        "geometryType": geometry_type,
        "geometry": geometry,
        "nnCreated": True,
        "nnUpdated": False,
    }


def geometry_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the geometry of an image's object in the form of figures."""
    return {key: entry[key] for key in _GEOMETRY if key in entry}


def figure_as_object(figure: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Return a figure as an object of its frame's image annotation."""
    return {"classTitle": title, "geometryType": figure["geometryType"], **figure["geometry"]}


def text_before_frames(head: Mapping[str, Any]) -> str:
    """Return the text of an annotation up to its frames, which follow as lines.

    Args:
        head: The annotation without its frames.
    """
    return json.dumps(head)[:-1] + _BEGIN_FRAMES


def frame_text(index: int, figures: Sequence[Mapping[str, Any]], *, is_first: bool) -> str:
    """Return the line of a frame."""
    line = json.dumps({"index": index, "figures": figures})
    return line if is_first else f",{line}"


def text_after_frames(num_frames: int) -> str:
    """Return the text of an annotation after its frames."""
    return f'],"framesCount": {num_frames}}}\n'


def without_text_after_frames(text: str) -> str:
    """Return the text of a complete annotation up to and including its last frame."""
    return text.rpartition("]")[0]
