"""Opening a data set of any known layout."""

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


def open_data(
    folder: Path,
    *,
    format: DataFormat = "auto",
    train_tag: str = "train",
    val_tag: str = "val",
    neutral: str = "neutral",
    class_ids: Mapping[str, int] | None = None,
) -> LabeledData:
    """Open a data set; only lists and annotations are read yet.

    Args:
        folder: meta.json lies in it, or images/ and labels/, or leftImg8bit/.
        format: "auto" recognizes the layout by just that.
        train_tag: see `open_supervisely_project`; so are `val_tag` and `neutral`.
        val_tag: the other layouts have lists or folders for their splits.
        neutral: the other layouts have void pixels of their own.
        class_ids: ids by name, of weights that are to be trained further. Supervisely projects are
            numbered so; the other layouts have ids of their own, which must be the same.

    Raises:
        ConfigError: no such folder, no layout or more than one is recognized, or what is there
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
            f"{folder}: no data set that is known; looked for meta.json (supervisely), {IMAGES}/"
            f" and {LABELS}/ (folder), {CITYSCAPES_IMAGES}/ (cityscapes)"
        )
    if len(found) > 1:
        raise ConfigError(f"{folder}: may be {' or '.join(found)}; say which is meant as format")
    return found[0]


def _compare(labels: LabelSet, class_ids: Mapping[str, int] | None, folder: Path) -> None:
    own = {name: k for k, name in enumerate(labels.names)}
    if class_ids is not None and dict(class_ids) != own:
        raise ConfigError(f"{folder}: its classes are {own}, not {dict(class_ids)}")
