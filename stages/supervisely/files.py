"""The files of Supervisely's projects: where images, videos and annotations lie."""

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from icstream.model import ConfigError
from icstream.model.errors import SampleError
from icstream.model.files import write_atomically
from icstream.stages.image_files import IMAGE_SUFFIXES
from icstream.stages.input_files import naming, parse_json, read_bytes

log = logging.getLogger(__name__)

META = "meta.json"
"""File of a project that lists its classes and says what it is a project of."""
KEY_IDS = "key_id_map.json"
"""File of a video project that gives the ids that its parts have on a server."""
NO_IDS: dict[str, dict[str, int]] = {"tags": {}, "objects": {}, "figures": {}, "videos": {}}
"""Content of `KEY_IDS` where nothing is on a server."""
DATASET = "dataset"
"""Folder of the only dataset in projects that are made from one recording."""
IMAGES, VIDEOS, ANNOTATIONS = "img", "video", "ann"
"""Folders of a dataset."""


def read_meta(project: Path) -> dict[str, Any]:
    """Return the content of meta.json.

    Raises:
        ConfigError: it is missing or no JSON.
    """
    path = project / META
    try:
        data = read_bytes(path)
        with naming(path):
            return parse_json(data, dict[str, Any])
    except SampleError as error:
        raise ConfigError(str(error)) from error


def find_datasets(parent: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Return name and folder of each dataset of images; those in its datasets/ follow it."""
    for folder in sorted(entry for entry in parent.iterdir() if entry.is_dir()):
        name = f"{prefix}{folder.name}"
        has_images, has_annotations = (folder / IMAGES).is_dir(), (folder / ANNOTATIONS).is_dir()
        if has_images and has_annotations:
            yield name, folder
        elif has_images or has_annotations:
            log.warning("%s: left out; a dataset has both img/ and ann/", folder)
        if (folder / "datasets").is_dir():
            yield from find_datasets(folder / "datasets", f"{name}/")


def pair_images(dataset: Path) -> Iterator[tuple[Path, Path | None]]:
    """Return each image with its annotation, and the path of each image that is not there."""
    entries = (path for path in (dataset / IMAGES).iterdir() if not path.name.startswith("."))
    images = sorted(path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES)
    left_over = {path.name: path for path in (dataset / ANNOTATIONS).glob("[!.]*.json")}
    num_of_stem = Counter(image.stem for image in images)
    for image in images:
        annotation = left_over.pop(f"{image.name}.json", None)
        if annotation is None and num_of_stem[image.stem] == 1:
            annotation = left_over.pop(f"{image.stem}.json", None)
        yield image, annotation
    for annotation in sorted(left_over.values()):
        yield dataset / IMAGES / annotation.stem, annotation


def find_video_datasets(project: Path) -> list[Path]:
    """Return the folder of each dataset of videos."""
    return sorted(path.parent for path in project.glob(f"*/{VIDEOS}") if path.is_dir())


def image_path(dataset: Path, name: str) -> Path:
    """Return where an image of a dataset lies."""
    return dataset / IMAGES / name


def video_path(dataset: Path, name: str) -> Path:
    """Return where a video of a dataset lies."""
    return dataset / VIDEOS / name


def annotation_path(dataset: Path, name: str) -> Path:
    """Return where the annotation of an image or a video lies."""
    return dataset / ANNOTATIONS / f"{name}.json"


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file; a reader sees the old one or the new one, never half of it."""
    text = json.dumps(values, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode(), durable=False)


def link_or_copy(source: Path, target: Path) -> None:
    """Make the file available under another path, which then is whole or not there."""

    def write(path: Path) -> None:
        try:
            os.link(source.resolve(), path)
        except OSError:  # another file system
            shutil.copyfile(source, path)

    write_atomically(target, write, durable=False)
