"""Labeled images in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icstream.model import CAMVID, LabelSet
from icstream.stages.data import LabeledData, LabeledImage, SampleError
from icstream.stages.streets import Street


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """A sample in memory, which counts as damaged without labels."""

    name: str
    rgb_HW3: NDArray[np.uint8]
    ids_HW: NDArray[np.uint8] | None

    def load(self) -> LabeledImage:
        if self.ids_HW is None:
            raise SampleError(f"{self.name}: damaged")
        return LabeledImage(self.rgb_HW3, self.ids_HW)


def street_sample(index: int, size: tuple[int, int] = (180, 240)) -> InMemory:
    """Return a street that was not used for training, with a void stripe along its left side."""
    rgb_HW3, ids_HW = Street(30_000 + index, size=size).render(2.0 * index)
    ids_HW = ids_HW.copy()
    ids_HW[:, : 5 + index] = 255
    return InMemory(f"street {index}", rgb_HW3, ids_HW)


def in_memory_data(samples: Sequence[InMemory], labels: LabelSet = CAMVID) -> LabeledData:
    return LabeledData("somewhere/streets", "folder", labels, {"val": tuple(samples)})


def write_streets(folder: Path, *, train: Sequence[int], val: Sequence[int]) -> Path:
    """Write streets with images, labels and lists in CamVid's numbering, where 11 is void."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for index in (*train, *val):
        sample = street_sample(index)
        assert sample.ids_HW is not None
        ids_HW = np.where(sample.ids_HW == 255, 11, sample.ids_HW).astype(np.uint8)
        Image.fromarray(sample.rgb_HW3).save(folder / "images" / f"s{index}.png")
        Image.fromarray(ids_HW).save(folder / "labels" / f"s{index}.png")
    for split, indices in (("train", train), ("val", val)):
        (folder / f"{split}.txt").write_text("".join(f"s{index}\n" for index in indices))
    return folder
