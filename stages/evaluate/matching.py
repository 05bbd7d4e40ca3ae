"""Matching of the network's classes with those of the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError, LabelSet
from icstream.stages.confusion import Confusion
from icstream.stages.data import VOID

_UNLABELED = ("background", "unlabelled")
"""The names of class 0 of a Supervisely project, for pixels without an object."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Matching:
    """A common numbering for the ids of data and network: first the data's classes, then the rest.

    Classes are matched by name, ignoring case. A class of the data that the network lacks is still
    scored, with all its pixels wrong; but the background of a Supervisely project is then void, as
    it was never labeled.
    """

    labels: LabelSet
    """The classes in the common numbering, which are those of predicted ids."""
    num_classes: int
    """The number of the first classes that are classes of the data and are scored."""
    truth_ids: NDArray[np.uint8]
    """The (256,) common ids by those of the data, including void."""
    predicted_ids: NDArray[np.uint8]
    """The (256,) common ids by those of the network."""
    notes: tuple[str, ...]
    """A sentence for each difference between the two label sets."""

    @classmethod
    def of(cls, data: LabelSet, network: LabelSet) -> Self:
        """Return the matching of data and network, by name.

        Raises:
            ConfigError: There is no common class, or there are more classes than ids.
        """
        known = {_key(name) for name in network.names}
        drop = _key(data.names[0]) in _UNLABELED and _key(data.names[0]) not in known
        kept = data.names[1:] if drop else data.names
        foreign = [n for n in network.names if _key(n) not in {_key(name) for name in kept}]
        if len(foreign) == len(network):
            raise ConfigError(
                f"no class is in both data ({_list(data.names)}) and weights"
                f" ({_list(network.names)}); they can only be compared by name"
            )
        names = [*kept, *foreign]
        colors = dict(zip(network.names, network.colors, strict=True))
        colors |= dict(zip(data.names, data.colors, strict=True))
        return cls(
            labels=LabelSet.from_values([(name, colors[name]) for name in names]),
            num_classes=len(kept),
            truth_ids=_table(data.names, names),
            predicted_ids=_table(network.names, names),
            notes=_notes(data, network, kept=kept, foreign=foreign),
        )

    @property
    def scored(self) -> tuple[str, ...]:
        """The classes that are scored: the rows of the confusion matrix."""
        return self.labels.names[: self.num_classes]

    def confusion(self) -> Confusion:
        """Return an empty confusion matrix for ids of the common numbering."""
        return Confusion(self.num_classes, num_foreign=len(self.labels) - self.num_classes)


def _key(name: str) -> str:
    return name.strip().casefold()


def _table(names: Sequence[str], common: Sequence[str]) -> NDArray[np.uint8]:
    """Return the (256,) positions of `names` in `common`, by exact match or else by key."""
    place = {_key(name): i for i, name in reversed(list(enumerate(common)))}
    place |= {name: i for i, name in enumerate(common)}
    table = np.full(256, VOID, np.uint8)
    table[: len(names)] = [place.get(name, place.get(_key(name), VOID)) for name in names]
    return table


def _notes(
    data: LabelSet, network: LabelSet, *, kept: Sequence[str], foreign: Sequence[str]
) -> tuple[str, ...]:
    left_out = [name for name in data.names if name not in kept]
    known = {_key(name) for name in network.names}
    beyond = [name for name in kept if _key(name) not in known]
    notes = []
    if [_key(n) for n in data.names] != [_key(n) for n in network.names]:
        notes.append("the label sets of data and weights differ; classes are matched by name")
    if left_out:
        notes.append(f"{_list(left_out)}: not in the weights; counted as void")
    if beyond:
        notes.append(f"{_list(beyond)}: not in the weights; all their pixels count as wrong")
    if foreign:
        notes.append(f"{_list(foreign)}: not in the data; pixels predicted so count as wrong")
    return tuple(notes)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
