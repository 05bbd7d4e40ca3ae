"""The layout of Cityscapes, as its archives unpack."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icstream.model import CITYSCAPES, ConfigError
from icstream.model.labels import VOID
from icstream.stages.data.id_images import NO_ID, IdSample, plain_table
from icstream.stages.data.samples import LabeledData

IMAGES, LABELS = "leftImg8bit", "gtFine"
SPLITS = ("train", "val", "test")

# The label ids of the 19 evaluated classes in the order of their train ids, and the largest label
# id (cityscapesScripts, labels.py).
_EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_LAST_LABEL_ID = 33


def open_cityscapes(folder: Path) -> LabeledData:
    """Return the images of leftImg8bit/, whose files are not opened yet.

    Labels are gtFine/.../*_gtFine_labelTrainIds.png if it exists, else *_gtFine_labelIds.png with
    mapped ids: all but the 19 evaluated classes are void.

    Raises:
        ConfigError: There is no image.
    """
    tables = {
        "labelTrainIds": plain_table(len(CITYSCAPES)),
        "labelIds": _label_id_table(),
    }
    splits = {
        split: tuple(
            _sample(folder, image, tables)
            for image in sorted((folder / IMAGES / split).glob(f"*/*_{IMAGES}.png"))
        )
        for split in SPLITS
    }
    if not any(splits.values()):
        raise ConfigError(f"{folder / IMAGES}: it contains no SPLIT/CITY/*_{IMAGES}.png")
    return LabeledData(origin=str(folder), format="cityscapes", labels=CITYSCAPES, splits=splits)


def _label_id_table() -> NDArray[np.int16]:
    table = np.full(256, NO_ID, np.int16)
    table[: _LAST_LABEL_ID + 1] = VOID
    table[VOID] = VOID
    table[list(_EVALUATED)] = np.arange(len(_EVALUATED))
    return table


def _sample(folder: Path, image: Path, tables: dict[str, NDArray[np.int16]]) -> IdSample:
    inside = image.relative_to(folder / IMAGES)
    name = inside.name.removesuffix(f"_{IMAGES}.png")
    for kind in ("labelTrainIds", "labelIds"):
        label = folder / LABELS / inside.with_name(f"{name}_{LABELS}_{kind}.png")
        if label.exists():
            break
    return IdSample(inside.with_name(name).as_posix(), image, label, tables[kind])
