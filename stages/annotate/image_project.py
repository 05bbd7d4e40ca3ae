"""Image projects on disk: what is in one, and another that is written beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError
from icstream.model.errors import SampleError
from icstream.stages.image_files import read_image
from icstream.stages.input_files import naming, parse_json, read_bytes
from icstream.stages.supervisely.files import (
    annotation_path,
    find_datasets,
    image_path,
    link_or_copy,
    pair_images,
    project_of,
    write_values,
)


@dataclass(frozen=True, slots=True)
class ProjectImage:
    """An image and its annotation."""

    name: str
    """Dataset and file, as people read it: "street/0001.png"."""
    dataset: Path
    """Folder of the dataset, relative to the project."""
    image: Path
    """File of the image."""
    annotation: Path | None
    """File of the annotation; None where there is none."""

    def load(self) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Return (H, W, 3) RGB and the annotation's values.

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
        """Return where the new annotation lies; it is there once the image is done."""
        return annotation_path(project / self.dataset, self.image.name)

    def write(self, annotation: Mapping[str, Any], project: Path) -> None:
        """Put image and annotation into another project, the annotation last and whole."""
        image = image_path(project / self.dataset, self.image.name)
        target = self.annotation_in(project)
        for folder in (image.parent, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        link_or_copy(self.image, image, inside=project_of(self.image, self.dataset))
        write_values(target, annotation)


def project_images(project: Path) -> list[ProjectImage]:
    """Return all images, dataset by dataset, in the order of their names.

    Raises:
        ConfigError: there are none.
    """
    found = list(_images(project))
    if not found:
        raise ConfigError(f"{project}: the project is empty; no dataset with images in it")
    return found


def _images(project: Path) -> Iterator[ProjectImage]:
    for name, folder in find_datasets(project):
        for image, annotation in pair_images(folder):
            dataset = folder.relative_to(project)
            yield ProjectImage(f"{name}/{image.name}", dataset, image, annotation)
