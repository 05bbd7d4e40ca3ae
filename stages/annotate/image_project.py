"""Reading and writing of image projects on disk."""

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
    """An image of a project and its annotation."""

    name: str
    """The dataset and file for display, such as "street/0001.png"."""
    dataset: Path
    """The folder of the dataset, relative to the project."""
    image: Path
    """The path of the image."""
    annotation: Path | None
    """The path of the annotation; None if there is none."""

    def load(self) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Return the (H, W, 3) RGB and the annotation's values.

        Raises:
            SampleError: One of the files is missing or damaged.
        """
        if self.annotation is None:
            raise SampleError(f"{self.image}: has no annotation")
        data = read_bytes(self.annotation)
        with naming(self.annotation):
            values = parse_json(data, dict[str, Any])
        return read_image(self.image, decoder="opencv"), values

    def annotation_in(self, project: Path) -> Path:
        """Return the path of the new annotation, which exists once the image is done."""
        return annotation_path(project / self.dataset, self.image.name)

    def write(self, annotation: Mapping[str, Any], project: Path) -> None:
        """Write the image and its annotation to another project, the annotation last."""
        image = image_path(project / self.dataset, self.image.name)
        target = self.annotation_in(project)
        for folder in (image.parent, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        link_or_copy(self.image, image, inside=project_of(self.image, self.dataset))
        write_values(target, annotation)


def project_images(project: Path) -> list[ProjectImage]:
    """Return all images by dataset, in the order of their names.

    Raises:
        ConfigError: There are none.
    """
    found = list(_images(project))
    if not found:
        raise ConfigError(f"{project}: the project is empty; it has no dataset with images")
    return found


def _images(project: Path) -> Iterator[ProjectImage]:
    for name, folder in find_datasets(project):
        for image, annotation in pair_images(folder):
            dataset = folder.relative_to(project)
            yield ProjectImage(f"{name}/{image.name}", dataset, image, annotation)
