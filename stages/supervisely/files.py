"""The files of Supervisely's projects: paths of images, videos and annotations."""

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
"""The file of a project with its classes and type."""
KEY_IDS = "key_id_map.json"
"""The file of a video project with the ids of its parts on a server."""
NO_IDS: dict[str, dict[str, int]] = {"tags": {}, "objects": {}, "figures": {}, "videos": {}}
"""The content of `KEY_IDS` without ids."""
DATASET = "dataset"
"""The folder of the only dataset in projects of one recording."""
IMAGES, VIDEOS, ANNOTATIONS = "img", "video", "ann"
"""The folders of a dataset."""
NESTED = "datasets"
"""The folder of a dataset that holds nested datasets."""


def read_meta(project: Path) -> dict[str, Any]:
    """Return the content of meta.json.

    Raises:
        ConfigError: The file is missing or not JSON.
    """
    path = project / META
    try:
        data = read_bytes(path)
        with naming(path):
            return parse_json(data, dict[str, Any])
    except SampleError as error:
        raise ConfigError(str(error)) from error


def find_datasets(project: Path) -> Iterator[tuple[str, Path]]:
    """Return the name and folder of each dataset of images, followed by its nested ones."""
    for name, folder in _folders(project, "", set()):
        has_images, has_annotations = (folder / IMAGES).is_dir(), (folder / ANNOTATIONS).is_dir()
        if has_images and has_annotations:
            yield name, folder
        elif has_images or has_annotations:
            log.warning("%s: left out; a dataset needs both img/ and ann/", folder)


def find_video_datasets(project: Path) -> list[Path]:
    """Return the folder of each dataset of videos, followed by its nested ones."""
    found = []
    for _, folder in _folders(project, "", set()):
        if (folder / VIDEOS).is_dir():
            found.append(folder)
        elif (folder / ANNOTATIONS).is_dir():
            log.warning("%s: left out; a dataset of videos needs video/", folder)
    return found


def dataset_name(dataset: Path) -> str:
    """Return the name of a dataset for display, by its folder in the project."""
    return "/".join(dataset.parts[::2])


def _folders(parent: Path, prefix: str, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each folder that may be a dataset, each only once.

    Links to folders are followed, and may form cycles.
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
    """Return each image with its annotation, and the path of each missing image."""
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
    """Return the path of an image in a dataset."""
    return dataset / IMAGES / name


def video_path(dataset: Path, name: str) -> Path:
    """Return the path of a video in a dataset."""
    return dataset / VIDEOS / name


def project_of(item: Path, dataset: Path) -> Path:
    """Return the folder of a project, given an image or video of it and its dataset's path."""
    return item.parents[1 + len(dataset.parts)]


def annotation_path(dataset: Path, name: str) -> Path:
    """Return the path of the annotation of an image or video."""
    return dataset / ANNOTATIONS / f"{name}.json"


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(values, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode(), durable=False)


def link_or_copy(
    source: Path, target: Path, *, inside: Path | None = None, durable: bool = False
) -> None:
    """Link or copy a file to another path, atomically.

    Args:
        source: The file, or a link to it.
        target: The other path.
        inside: An untrusted folder; a file outside, reached by a link in it, is copied, so that
            changes of the result do not affect other files.
        durable: Return only once the other path would survive a power failure.
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
    """Remove annotations with their images and videos from a dataset and its nested ones.

    Other files are kept; folders that become empty are removed. No link is followed.
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
        with suppress(OSError):  # missing, a link, or not empty
            folder.rmdir()


def _regular_files(folder: Path, pattern: str) -> list[Path]:
    if folder.is_symlink():
        return []
    return [path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink()]
