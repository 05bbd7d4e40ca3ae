"""The interface of sources."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, Self

from icstream.model.renamed import renamed_fields
from icstream.stages.accounting import FrameAccounting
from icstream.stages.items import Item, Size

DEFAULT_RATE = Fraction(25)
"""The default rate, in frames per second, for the index clock."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The properties of an open source."""

    clock: Literal["pts", "index", "arrival"]
    """The origin of times: those of the source, the frames' index, or the moments of arrival."""
    time_base: Fraction
    """The seconds per unit of `pts`, or per frame if the clock is the index."""
    num_frames: int | None
    """The number of frames in the source's index; None without an index."""
    size: Size
    """The (height, width) of the first frame, as displayed."""
    notes: tuple[str, ...] = ()
    """Sentences about choices, omissions and anomalies."""


@renamed_fields(books="accounting")
@dataclass(frozen=True, slots=True)
class SourceContext:
    """The arguments of a source of another package."""

    stream: str
    """The name of the stream, for the source's items."""
    rest: str
    """The user's argument after the source's name and a colon."""
    accounting: FrameAccounting
    """The counters that the source updates, as `Source` defines."""


class Source(Protocol):
    """A stream of items that ends with `End`, used as a context manager and read once.

    The source updates `packets`, `decoded`, `undecodable`, `without_frame`, `missing`, `noted` and
    `cut_short` of the accounting, and increments `in_flight` for each frame that it yields. If the
    reader stops early and closes the iterator, packets still in the decoder are counted as
    `without_frame["stopped"]`.
    """

    info: SourceInfo

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[Item]:
        """Return the items in presentation order.

        Raises:
            SourceError: The source failed midway; the accounting is correct up to that point.
        """
        ...
