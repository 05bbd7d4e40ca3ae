"""Label sets: the names and colors of a network's classes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import ConfigError
from icstream.model.renamed import renamed_fields

Color: TypeAlias = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

MAX_CLASSES = 255
"""The largest number of classes: ids are stored in one byte, and 255 is reserved for "void"."""


@renamed_fields(colours="colors")
@dataclass(frozen=True, slots=True)
class LabelSet:
    """An ordered set of classes; the id of a class is its position."""

    names: tuple[str, ...]
    colors: tuple[Color, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.names) <= MAX_CLASSES:
            raise ConfigError(f"a label set has 2 to {MAX_CLASSES} classes, got {len(self.names)}")
        if len(self.colors) != len(self.names):
            raise ConfigError(
                f"a label set needs a color for each class: got {len(self.names)} names"
                f" and {len(self.colors)} colors"
            )
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ConfigError(f"class names must be unique, got {', '.join(repeated)} twice")
        for name, color in zip(self.names, self.colors, strict=True):
            if not name:
                raise ConfigError("a class name must not be empty")
            if len(color) != 3 or not all(0 <= value <= 255 for value in color):
                raise ConfigError(f"color of {name!r}: got {color}, allowed are 3 values 0..255")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_values(cls, classes: Sequence[tuple[str, Sequence[int]]]) -> Self:
        """Build a label set from (name, (red, green, blue)) pairs, in the order of their ids.

        Raises:
            ConfigError: There are too few or too many classes, a repeated name, or a color out of
                range.
        """
        names = tuple(str(name) for name, _ in classes)
        colors = tuple(tuple(int(value) for value in color) for _, color in classes)
        return cls(names, colors)  # type: ignore[arg-type]  # lengths are checked on creation

    def palette(self) -> NDArray[np.uint8]:
        """Return the colors as a (256, 3) table, with black for ids without a class."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colors
        return table


def unlabeled_name(names: Collection[str]) -> str:
    """Return a name, not among `names`, for pixels that no object covers."""
    name = "background"
    for other in ("unlabelled", *(f"unlabelled {n}" for n in range(2, len(names) + 3))):
        if name not in names:
            break
        name = other
    return name


CITYSCAPES = LabelSet.from_values(
    # The 19 evaluated classes in the order of their train ids; colors of cityscapesScripts.
    [
        ("road", (128, 64, 128)),
        ("sidewalk", (244, 35, 232)),
        ("building", (70, 70, 70)),
        ("wall", (102, 102, 156)),
        ("fence", (190, 153, 153)),
        ("pole", (153, 153, 153)),
        ("traffic light", (250, 170, 30)),
        ("traffic sign", (220, 220, 0)),
        ("vegetation", (107, 142, 35)),
        ("terrain", (152, 251, 152)),
        ("sky", (70, 130, 180)),
        ("person", (220, 20, 60)),
        ("rider", (255, 0, 0)),
        ("car", (0, 0, 142)),
        ("truck", (0, 0, 70)),
        ("bus", (0, 60, 100)),
        ("train", (0, 80, 100)),
        ("motorcycle", (0, 0, 230)),
        ("bicycle", (119, 11, 32)),
    ]
)
"""The 19 classes of Cityscapes, with its colors, in the order of its training ids."""

CAMVID = LabelSet.from_values(
    # The usual 11 classes; id 11 is void.
    [
        ("Sky", (128, 128, 128)),
        ("Building", (128, 0, 0)),
        ("Pole", (192, 192, 128)),
        ("Road", (128, 64, 128)),
        ("Pavement", (0, 0, 192)),
        ("Tree", (128, 128, 0)),
        ("SignSymbol", (192, 128, 128)),
        ("Fence", (64, 64, 128)),
        ("Car", (64, 0, 128)),
        ("Pedestrian", (64, 64, 0)),
        ("Bicyclist", (0, 128, 192)),
    ]
)
"""The 11 classes of CamVid, with its colors."""

VOID = 255
"""The id of pixels without a class, which are excluded from the loss and from all scores."""
