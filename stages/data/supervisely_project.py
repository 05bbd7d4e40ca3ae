"""The layout of Supervisely image projects."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from icstream.model import ConfigError
from icstream.model.errors import SampleError
from icstream.stages.data.samples import LabeledData, LabeledImage
from icstream.stages.image_files import read_image
from icstream.stages.input_files import naming, parse_json, read_bytes
from icstream.stages.supervisely.annotation import Annotation, Overview, is_known, shape_of
from icstream.stages.supervisely.classes import ProjectClasses, read_classes
from icstream.stages.supervisely.files import META, find_datasets, pair_images


@dataclass(frozen=True, slots=True)
class SuperviselySample:
    """A sample of an image and its annotation."""

    name: str
    image: Path
    annotation: Path
    classes: ProjectClasses = field(compare=False, repr=False)

    def load(self) -> LabeledImage:
        """Implement `Sample.load`; later objects are painted over earlier ones, neutral or not.

        Objects of unknown shapes are ignored.
        """
        rgb_HW3 = read_image(self.image, decoder="opencv")
        ids_HW = np.zeros(rgb_HW3.shape[:2], np.uint8)
        data = read_bytes(self.annotation)
        with naming(self.annotation):
            for number, entry in enumerate(parse_json(data, Annotation).objects):
                title = entry.class_title
                if title not in self.classes.shapes:
                    raise SampleError(f"object {number}: meta.json has no class {title!r}")
                shape = shape_of(entry, self.classes.shapes[title])
                if shape and not is_known(shape):
                    continue  # counted when the project was opened
                with naming(f"object {number} ({title!r})"):
                    geometry = entry.geometry(shape)
                geometry.paint(ids_HW, self.classes.ids[title])
        return LabeledImage(rgb_HW3, ids_HW)


def open_supervisely_project(
    folder: Path,
    *,
    train_tag: str = "train",
    val_tag: str = "val",
    neutral: str = "neutral",
    class_ids: Mapping[str, int] | None = None,
) -> LabeledData:
    """Return the tagged images, reading only the tags of annotations.

    Classes are numbered from 1 in string order of their names; id 0 is for pixels without an
    object.

    Args:
        folder: The folder that contains meta.json.
        train_tag: The name of the tag of images in the split "train", whatever its value.
        val_tag: The same for "val"; an image with both tags is in both splits.
        neutral: The class whose pixels are `VOID`; the project may lack it.
        class_ids: The ids by name, from 1, if they are fixed. The names must be those of the
            project, except for one with id 0, which names the pixels without an object.

    Raises:
        ConfigError: The folder is not an image project, no image is tagged, or the classes cannot
            be numbered.
    """
    meta = folder / META
    try:
        data = read_bytes(meta)
        with naming(meta):
            classes = read_classes(data, neutral=neutral, class_ids=class_ids)
    except SampleError as error:
        raise ConfigError(str(error)) from error
    except ConfigError as error:
        raise ConfigError(f"{meta}: {error}") from error
    scan = _Scan(classes, {"train": train_tag, "val": val_tag})
    for name, dataset in find_datasets(folder):
        scan.add(name, dataset)
    return scan.result(folder)


class _Scan:
    """A scan of a project that assigns images to splits by the tags of their annotations."""

    def __init__(self, classes: ProjectClasses, tags: Mapping[str, str]) -> None:
        self._classes = classes
        self._tags = tags
        self._samples: dict[str, list[SuperviselySample]] = {split: [] for split in tags}
        self._num_objects = dict.fromkeys(tags, 0)
        self._num_annotations = 0
        self._corrupted: list[str] = []
        self._unknown: Counter[str] = Counter()
        """The number of objects by unknown shape."""
        self._first: dict[str, str] = {}
        """The first image with an object of each unknown shape."""

    def add(self, dataset_name: str, dataset: Path) -> None:
        for image, annotation in pair_images(dataset):
            if annotation is None:
                self._corrupted.append(f"{image}: has no annotation")
                continue
            try:
                data = read_bytes(annotation)
                with naming(annotation):
                    overview = parse_json(data, Overview)
            except SampleError as error:
                self._corrupted.append(str(error))
                continue
            self._num_annotations += 1
            names = overview.tag_names()
            sample = SuperviselySample(
                f"{dataset_name}/{image.name}", image, annotation, self._classes
            )
            unknown = overview.unknown_shapes(self._classes.shapes)
            if names & set(self._tags.values()):
                self._unknown += unknown
                self._first = {**dict.fromkeys(unknown, sample.name), **self._first}
            for split, tag in self._tags.items():
                if tag in names:
                    self._samples[split].append(sample)
                    self._num_objects[split] += len(overview.objects) - unknown.total()

    def result(self, folder: Path) -> LabeledData:
        if not self._num_annotations and not self._corrupted:
            raise ConfigError(f"{folder}: the project is empty; it has no dataset with images")
        faults = {split: fault for split in self._tags if (fault := self._fault(split))}
        if not any(self._samples.values()):
            raise ConfigError(
                f"{folder}: none of {self._num_annotations} images is tagged"
                f" {' or '.join(repr(tag) for tag in dict.fromkeys(self._tags.values()))}"
                f"; {len(self._corrupted)} annotations could not be read"
            )
        return LabeledData(
            origin=str(folder),
            format="supervisely",
            labels=self._classes.labels,
            splits={split: tuple(samples) for split, samples in self._samples.items()},
            corrupted=tuple(self._corrupted),
            faults=faults,
            left_out=tuple(
                f"{number} objects of shape {shape!r}, which is not supported; the first is on"
                f" {self._first[shape]}"
                for shape, number in self._unknown.items()
            ),
        )

    def _fault(self, split: str) -> str | None:
        if not self._samples[split]:
            return f"no image is tagged {self._tags[split]!r}"
        if not self._num_objects[split]:
            return f"there are no objects on the images tagged {self._tags[split]!r}"
        return None
