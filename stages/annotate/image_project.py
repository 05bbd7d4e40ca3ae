"""Image projects on disk: what is in one, and another that is written beside it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError
from icstream.model.errors import SampleError
from icstream.model.files import write_atomically
from icstream.stages.data.supervisely_project import datasets, image_pairs
from icstream.stages.image_files import read_image
from icstream.stages.input_files import naming, parse_json, read_bytes
from icstream.stages.supervisely.format import link_or_copy

META = "meta.json"


@dataclass(frozen=True, slots=True)
class ProjectImage:
    """An image and its annotation."""

    name: str
    """For people: "street/0001.png"."""
    dataset: Path
    """Folder, relative to the project."""
    image: Path
    annotation: Path | None
    """None: there is none."""

    def load(self) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Gives (H, W, 3) RGB and the annotation's values.

        Raises:
            SampleError: one of the files is missing or damaged.
        """
        if self.annotation is None:
            raise SampleError(f"{self.image}: has no annotation")
        data = read_bytes(self.annotation)
        with naming(self.annotation):
            values = parse_json(data, dict[str, Any])
        return read_image(self.image, decoder="opencv"), values

    def annotation_in(self, project: Path) -> Path:
        """Gives where the new annotation lies; it is there once the image is done."""
        return project / self.dataset / "ann" / f"{self.image.name}.json"

    def write(self, annotation: Mapping[str, Any], project: Path) -> None:
        """Puts image and annotation into another project, the annotation last and whole."""
        target = project / self.dataset / "img" / self.image.name
        for folder in (target.parent, target.parent.parent / "ann"):
            folder.mkdir(parents=True, exist_ok=True)
        link_or_copy(self.image, target)
        write_whole(self.annotation_in(project), annotation)


def read_meta(project: Path) -> dict[str, Any]:
    """Gives the content of meta.json.

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


def project_images(project: Path) -> list[ProjectImage]:
    """Gives all images, dataset by dataset, in the order of their names.

    Raises:
        ConfigError: there are none.
    """
    found = list(_images(project))
    if not found:
        raise ConfigError(f"{project}: the project is empty; no dataset with images in it")
    return found


def _images(project: Path) -> Iterator[ProjectImage]:
    for name, folder in datasets(project):
        for image, annotation in image_pairs(folder):
            dataset = folder.relative_to(project)
            yield ProjectImage(f"{name}/{image.name}", dataset, image, annotation)


def write_whole(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file; a reader sees the old one or the new one, never half of it."""
    text = json.dumps(values, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode(), durable=False)
