"""The layout of folders with images, label images, and lists of names."""

from pathlib import Path, PurePosixPath
from typing import Annotated, TypeAlias

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from icstream.model import CAMVID, ConfigError, LabelSet
from icstream.model.errors import SampleError
from icstream.stages.data.id_images import IdSample, plain_table
from icstream.stages.data.samples import LabeledData
from icstream.stages.image_files import IMAGE_SUFFIXES, read_ids
from icstream.stages.input_files import naming, parse_json, read_bytes

IMAGES, LABELS, CLASSES = "images", "labels", "classes.json"
LISTS = ("train", "val", "test")
"""The names of splits; the images of each are listed in NAME.txt."""

_CAMVID_VOID = 11
_NUM_LOOKED_AT = 8
_Channel: TypeAlias = Annotated[int, Meta(ge=0, le=255)]
_ClassList: TypeAlias = list[tuple[str, tuple[_Channel, _Channel, _Channel]]]


def open_labeled_folder(folder: Path) -> LabeledData:
    """Return the listed samples, whose files are not opened yet.

    Each list (train.txt, val.txt, test.txt; at least one) has one name per line. The image NAME is
    images/NAME with any image suffix, its labels are labels/NAME.png with an 8-bit class id per
    pixel, 255 for void. Names may include the image's suffix; links are followed.

    The classes are in classes.json as `[["road", [128, 64, 128]], ...]` in the order of their ids.
    Without it they are those of CamVid: 0 to 10, and 11 for void; the first labels of each list are
    checked to hold no others.

    Raises:
        ConfigError: There is no list, a list or classes.json cannot be used, or classes.json is
            missing and the labels are not CamVid's.
    """
    lists = {split: _names(folder / f"{split}.txt") for split in LISTS}
    found = {split: names for split, names in lists.items() if names is not None}
    if not found:
        raise ConfigError(f"{folder}: no list of names; needed is one of train.txt, val.txt, ...")
    labels, table = _classes(folder)
    images = _Images(folder / IMAGES)
    splits = {
        split: tuple(
            _sample(folder, images, name, table)
            for name in _plain_names(names, images, folder / f"{split}.txt")
        )
        for split, names in found.items()
    }
    if not (folder / CLASSES).exists():
        for samples in splits.values():
            _check_camvid(folder, samples[:_NUM_LOOKED_AT])
    return LabeledData(origin=str(folder), format="folder", labels=labels, splits=splits)


def read_label_set(path: Path) -> LabelSet:
    """Return the classes in a file of `[["road", [128, 64, 128]], ...]`, in the order of ids.

    Raises:
        ConfigError: The file is missing, is not such a list, or its classes are not a label set.
    """
    try:
        data = read_bytes(path)
        with naming(path):
            return LabelSet.from_values(parse_json(data, _ClassList))
    except SampleError as error:
        raise ConfigError(f'{error}; allowed is [["name", [red, green, blue]], ...]') from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _names(path: Path) -> list[str] | None:
    if not path.exists():
        return None
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except SampleError as error:
        raise ConfigError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
    names = [line.strip() for line in lines if line.strip()]
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ConfigError(f"{path}: {name!r} is outside the folder")
    return names


def _plain_names(names: list[str], images: "_Images", path: Path) -> list[str]:
    """Return the names in a list, without image suffixes.

    Raises:
        ConfigError: Two entries name the same image.
    """
    plain: dict[str, str] = {}
    for entry in names:
        name = entry
        if images.find(name) is None and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
            name = PurePosixPath(name).with_suffix("").as_posix()
        if name in plain:
            raise ConfigError(f"{path}: {name!r} is listed twice")
        plain[name] = entry
    return list(plain)


def _classes(folder: Path) -> tuple[LabelSet, NDArray[np.int16]]:
    path = folder / CLASSES
    if not path.exists():
        return CAMVID, plain_table(len(CAMVID), void=(_CAMVID_VOID,))
    labels = read_label_set(path)
    return labels, plain_table(len(labels))


class _Images:
    """The images of a folder and its subfolders, each of which is listed when needed."""

    def __init__(self, folder: Path) -> None:
        """Check the folder.

        Raises:
            ConfigError: The folder is missing.
        """
        if not folder.is_dir():
            raise ConfigError(f"{folder}: missing")
        self._folder = folder
        self._listed: dict[Path, dict[str, Path]] = {}

    def find(self, name: str) -> Path | None:
        """Return the image with a name, which is its path within the folder without suffix.

        Raises:
            ConfigError: Two images in the same folder have this name.
        """
        path = self._folder / name
        if path.parent not in self._listed:
            self._listed[path.parent] = _images_in(path.parent)
        return self._listed[path.parent].get(path.name)


def _images_in(folder: Path) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in images:
            raise ConfigError(f"{path}: {images[path.stem].name} has the same name; only one may")
        images[path.stem] = path
    return images


def _sample(folder: Path, images: _Images, name: str, table: NDArray[np.int16]) -> IdSample:
    image = images.find(name) or folder / IMAGES / f"{name}.*"
    return IdSample(name, image, folder / LABELS / f"{name}.png", table)


def _check_camvid(folder: Path, samples: tuple[IdSample, ...]) -> None:
    for sample in samples:
        try:
            values_HW = read_ids(sample.label)
        except SampleError:
            continue  # reported when the sample is loaded
        odd = sorted(set(np.unique(values_HW[sample.table[values_HW] < 0]).tolist()))
        if odd:
            raise ConfigError(
                f"{sample.label}: id {odd[0]} is not one of CamVid's;"
                f" list the classes in {folder / CLASSES}"
            )
