"""Inspection of data sets, and of samples that cannot be used."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icstream.model import LabelSet
from icstream.model.errors import SampleError
from icstream.model.labels import VOID
from icstream.stages.data.samples import LabeledData, LabeledImage, Sample


@dataclass(slots=True)
class SplitFindings:
    """The findings of one split, without corrupted samples."""

    num_samples: int
    """The number of samples, including corrupted ones."""
    counts: NDArray[np.int64]
    """The (256,) numbers of pixels by id, including void."""
    num_corrupted: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """The number of images by (width, height)."""
    fault: str | None = None
    """The reason why the split cannot be used, or None."""

    def add(self, image: LabeledImage) -> None:
        """Add an image."""
        height, width = image.ids_HW.shape
        self.sizes[width, height] += 1
        self.counts += np.bincount(image.ids_HW.ravel(), minlength=256)

    @property
    def void_share(self) -> float | None:
        """The share of void among all pixels; None without pixels."""
        total = int(self.counts.sum())
        return int(self.counts[VOID]) / total if total else None

    def share(self, class_id: int) -> float | None:
        """Return the share of a class among pixels that are not void; None if there are none."""
        total = int(self.counts.sum() - self.counts[VOID])
        return int(self.counts[class_id]) / total if total else None


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of a data set."""

    origin: str
    format: str
    labels: LabelSet
    splits: dict[str, SplitFindings]
    corrupted: tuple[str, ...]
    """A line for each file or sample that cannot be used."""
    num_in_several: int
    """The number of samples in more than one split."""
    left_out: tuple[str, ...] = ()
    """A line for each kind of objects that are left out, as in `LabeledData`."""

    def never(self) -> list[str]:
        """Return the names of the classes without a pixel."""
        counts = sum((split.counts for split in self.splits.values()), np.zeros(256, np.int64))
        return [name for k, name in enumerate(self.labels.names) if not counts[k]]

    def lines(self) -> list[str]:
        """Return the findings as lines of text."""
        lines = [f"{self.origin}: {self.format}, {len(self.labels)} classes"]
        lines += [_split_line(name, split) for name, split in self.splits.items()]
        lines += [f"{name}: {split.fault}" for name, split in self.splits.items() if split.fault]
        if self.num_in_several:
            lines.append(f"{self.num_in_several} samples are in more than one split")
        lines += self._table()
        if never := self.never():
            lines.append(f"classes without pixels: {', '.join(never)}")
        lines += [f"left out: {text}" for text in self.left_out]
        lines += [f"corrupted: {text}" for text in self.corrupted]
        return lines

    def values(self) -> dict[str, Any]:
        """Return the findings as plain JSON values."""
        named = zip(self.labels.names, self.labels.colors, strict=True)
        return {
            "origin": self.origin,
            "format": self.format,
            "splits": {name: _split_values(split) for name, split in self.splits.items()},
            "classes": [
                {
                    "id": k,
                    "name": name,
                    "colour": list(color),
                    "pixels": {key: int(split.counts[k]) for key, split in self.splits.items()},
                    "share": {key: split.share(k) for key, split in self.splits.items()},
                }
                for k, (name, color) in enumerate(named)
            ],
            "never": self.never(),
            "in_several_splits": self.num_in_several,
            "corrupted": list(self.corrupted),
            **({"left_out": list(self.left_out)} if self.left_out else {}),
        }

    def _table(self) -> list[str]:
        width = max(5, *(len(name) for name in self.labels.names))
        head = "".join(f"{key + ' pixels':>16}{'share':>9}" for key in self.splits)
        rows = [f" id  {'class':<{width}}{head}"]
        for k, name in enumerate(self.labels.names):
            cells = (
                f"{split.counts[k]:>16}{_percent(split.share(k)):>9}"
                for split in self.splits.values()
            )
            rows.append(f"{k:>3}  {name:<{width}}{''.join(cells)}")
        return rows


def check_data(
    data: LabeledData, *, watch: Callable[[int, int], None] = lambda done, total: None
) -> Findings:
    """Load every sample once, and return the findings.

    Args:
        data: The data set.
        watch: A function that is called after each sample with the number done and the total.
    """
    splits = {
        name: SplitFindings(len(samples), np.zeros(256, np.int64), fault=data.faults.get(name))
        for name, samples in data.splits.items()
    }
    corrupted = list(data.corrupted)
    places = _places(data)
    for done, (sample, names) in enumerate(places, start=1):
        try:
            image = sample.load()
        except SampleError as error:
            corrupted.append(str(error))
            for name in names:
                splits[name].num_corrupted += 1
        else:
            for name in names:
                splits[name].add(image)
        watch(done, len(places))
    return Findings(
        data.origin,
        data.format,
        data.labels,
        splits,
        tuple(corrupted),
        sum(len(names) > 1 for _, names in places),
        data.left_out,
    )


def _places(data: LabeledData) -> list[tuple[Sample, list[str]]]:
    """Return each sample with its splits."""
    places: dict[str, tuple[Sample, list[str]]] = {}
    for split, samples in data.splits.items():
        for sample in samples:
            places.setdefault(sample.name, (sample, []))[1].append(split)
    return list(places.values())


def _split_line(name: str, split: SplitFindings) -> str:
    common = split.sizes.most_common(3)
    sizes = ", ".join(f"{width}x{height} ({n})" for (width, height), n in common)
    more = f" and {len(split.sizes) - 3} other sizes" if len(split.sizes) > 3 else ""
    return (
        f"{name}: {split.num_samples} samples, {split.num_corrupted} of them corrupted;"
        f" {sizes or 'no images'}{more}; void {_percent(split.void_share)}"
    )


def _split_values(split: SplitFindings) -> dict[str, Any]:
    return {
        "samples": split.num_samples,
        "corrupted": split.num_corrupted,
        "sizes": {f"{width}x{height}": n for (width, height), n in sorted(split.sizes.items())},
        "void_share": split.void_share,
        "fault": split.fault,
    }


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
