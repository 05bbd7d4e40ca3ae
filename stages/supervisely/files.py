"""The files of Supervisely's projects: where images, videos and annotations lie."""

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
NESTED = "datasets"
"""Folder of a dataset that holds others."""


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


def find_datasets(project: Path) -> Iterator[tuple[str, Path]]:
    """Return name and folder of each dataset of images; those in its datasets/ follow it."""
    for name, folder in _folders(project, "", set()):
        has_images, has_annotations = (folder / IMAGES).is_dir(), (folder / ANNOTATIONS).is_dir()
        if has_images and has_annotations:
            yield name, folder
        elif has_images or has_annotations:
            log.warning("%s: left out; a dataset has both img/ and ann/", folder)


def find_video_datasets(project: Path) -> list[Path]:
    """Return the folder of each dataset of videos; those in its datasets/ follow it."""
    found = []
    for _, folder in _folders(project, "", set()):
        if (folder / VIDEOS).is_dir():
            found.append(folder)
        elif (folder / ANNOTATIONS).is_dir():
            log.warning("%s: left out; a dataset of videos has video/", folder)
    return found


def dataset_name(dataset: Path) -> str:
    """Return the name of a dataset by its folder in the project, as people read it."""
    return "/".join(dataset.parts[::2])


def _folders(parent: Path, prefix: str, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each folder that may be a dataset, but none by two paths.

    Links to folders are followed, and may lead back.
    """
    for folder in sorted(entry for entry in parent.iterdir() if entry.is_dir()):
        place = folder.resolve()
        if place in seen:
            log.warning("%s: left out; it is the same folder as another one", folder)
            continue
        seen.add(place)
        name = f"{prefix}{folder.name}"
        yield name, folder
        if (folder / NESTED).is_dir():
            yield from _folders(folder / NESTED, f"{name}/", seen)


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


def image_path(dataset: Path, name: str) -> Path:
    """Return where an image of a dataset lies."""
    return dataset / IMAGES / name


def video_path(dataset: Path, name: str) -> Path:
    """Return where a video of a dataset lies."""
    return dataset / VIDEOS / name


def project_of(item: Path, dataset: Path) -> Path:
    """Return the folder of a project, by an image or video of it and the path of its dataset."""
    return item.parents[1 + len(dataset.parts)]


def annotation_path(dataset: Path, name: str) -> Path:
    """Return where the annotation of an image or a video lies."""
    return dataset / ANNOTATIONS / f"{name}.json"


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file; a reader sees the old one or the new one, never half of it."""
    text = json.dumps(values, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode(), durable=False)


def link_or_copy(
    source: Path, target: Path, *, inside: Path | None = None, durable: bool = False
) -> None:
    """Make the file available under another path, which then is whole or not there.

    Args:
        source: the file, or a link to it.
        target: the other path.
        inside: a folder of somebody else's; a file that only links in it lead to is copied, so
            that whoever changes the result changes no file elsewhere.
        durable: return only when the other path would survive a loss of power.
    """
    file = source.resolve()
    may_link = inside is None or file.is_relative_to(inside.resolve())

    def write(path: Path) -> None:
        try:
            if may_link:
                os.link(file, path)
                return
        except OSError:  # another file system
            pass
        shutil.copyfile(file, path)

    write_atomically(target, write, durable=durable)


def remove_dataset(dataset: Path) -> None:
    """Remove annotations with their images and videos from a dataset, and from those in it.

    Other files stay; folders that then are empty go too. No link is followed.
    """
    if dataset.is_symlink() or not dataset.is_dir():
        return
    nested = dataset / NESTED
    if nested.is_dir() and not nested.is_symlink():
        for folder in list(nested.iterdir()):
            remove_dataset(folder)
    for annotation in _regular_files(dataset / ANNOTATIONS, "*.json*"):
        name, json_suffix, rest = annotation.name.rpartition(".json")
        if not json_suffix or rest not in ("", ".partial"):
            continue
        for item in (image_path(dataset, name), video_path(dataset, name)):
            if item.is_file() and not item.parent.is_symlink():
                item.unlink()
        annotation.unlink()
    for folder in (*(dataset / name for name in (ANNOTATIONS, IMAGES, VIDEOS, NESTED)), dataset):
        with suppress(OSError):  # not there, a link, or not empty
            folder.rmdir()


def _regular_files(folder: Path, pattern: str) -> list[Path]:
    if folder.is_symlink():
        return []
    return [path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink()]
