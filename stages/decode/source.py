"""What every source offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, Self

from icstream.model.renamed import renamed_fields
from icstream.stages.accounting import FrameAccounting
from icstream.stages.items import Item, Size

DEFAULT_RATE = Fraction(25)
"""Frames per second where a source gives none; only the index clock uses it."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source when it is opened."""

    clock: Literal["pts", "index", "arrival"]
    """Where the times of its frames are from: the source, nowhere, or the moments of arrival."""
    time_base: Fraction
    """Seconds per unit of `pts`, or per frame where the clock is the index."""
    num_frames: int | None
    """How many frames its own index promises; None where it has no index."""
    size: Size
    """Height and width of the first frame, as displayed."""
    notes: tuple[str, ...] = ()
    """Sentences about what was chosen, what is left out, and what is unusual."""


@renamed_fields(books="accounting")
@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source of another package is made from."""

    stream: str
    """Name of the stream, for the source's items."""
    rest: str
    """What the user wrote behind the source's name and a colon."""
    accounting: FrameAccounting
    """Counters that the source keeps, as `Source` defines them."""


class Source(Protocol):
    """A stream of items, ended by `End`; to be used as a context manager and read once.

    It keeps its side of the accounting: `packets`, `decoded`, `undecodable`, `without_frame`,
    `missing`, `noted`, `cut_short`, and it raises `in_flight` for each frame that it gives away. If
    the reader stops before the end and closes the iterator, what the decoder still held is counted
    as `without_frame["stopped"]`.
    """

    info: SourceInfo

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[Item]:
        """Return the items in presentation order.

        Raises:
            SourceError: the source failed in the middle; the accounting is right up to there.
        """
        ...
