"""Opening of data sets of any supported layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from icstream.model import ConfigError, LabelSet
from icstream.stages.data.cityscapes import IMAGES as CITYSCAPES_IMAGES
from icstream.stages.data.cityscapes import open_cityscapes
from icstream.stages.data.folder import IMAGES, LABELS, open_labeled_folder
from icstream.stages.data.samples import LabeledData
from icstream.stages.data.supervisely_project import open_supervisely_project

DataFormat: TypeAlias = Literal["auto", "supervisely", "folder", "cityscapes"]
"""A layout of labeled images; auto tells it by what the folder holds."""


def open_data(
    folder: Path,
    *,
    format: DataFormat = "auto",
    train_tag: str = "train",
    val_tag: str = "val",
    neutral: str = "neutral",
    class_ids: Mapping[str, int] | None = None,
) -> LabeledData:
    """Return a data set, reading only lists and annotations.

    Args:
        folder: The folder, which contains meta.json, images/ and labels/, or leftImg8bit/.
        format: The layout; "auto" detects it by these names.
        train_tag: As in `open_supervisely_project`; other layouts have lists or folders for their
            splits.
        val_tag: As in `open_supervisely_project`.
        neutral: As in `open_supervisely_project`; other layouts have void pixels.
        class_ids: The ids by name of weights to be trained further. Supervisely projects are
            numbered by them; other layouts have ids, which must be equal.

    Raises:
        ConfigError: The folder does not exist, no layout or several are detected, or the data set
            cannot be used.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    if format == "auto":
        format = _recognize(folder)
    if format == "supervisely":
        return open_supervisely_project(
            folder, train_tag=train_tag, val_tag=val_tag, neutral=neutral, class_ids=class_ids
        )
    data = open_labeled_folder(folder) if format == "folder" else open_cityscapes(folder)
    _compare(data.labels, class_ids, folder)
    return data


def _recognize(folder: Path) -> Literal["supervisely", "folder", "cityscapes"]:
    found: list[Literal["supervisely", "folder", "cityscapes"]] = []
    if (folder / "meta.json").exists():
        found.append("supervisely")
    if (folder / IMAGES).is_dir() and (folder / LABELS).is_dir():
        found.append("folder")
    if (folder / CITYSCAPES_IMAGES).is_dir():
        found.append("cityscapes")
    if not found:
        raise ConfigError(
            f"{folder}: not a supported data set; looked for meta.json (supervisely), {IMAGES}/"
            f" and {LABELS}/ (folder), {CITYSCAPES_IMAGES}/ (cityscapes)"
        )
    if len(found) > 1:
        raise ConfigError(f"{folder}: may be {' or '.join(found)}; set the format")
    return found[0]


def _compare(labels: LabelSet, class_ids: Mapping[str, int] | None, folder: Path) -> None:
    own = {name: k for k, name in enumerate(labels.names)}
    if class_ids is not None and dict(class_ids) != own:
        raise ConfigError(f"{folder}: its classes are {own}, not {dict(class_ids)}")
