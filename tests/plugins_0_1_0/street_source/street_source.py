"""A source of another package: renders a street instead of reading a recording.

pip install ./examples/street_source
icstream run street:7 --weights streets -o out
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Self

from icstream.model import ConfigError
from icstream.stages import End, Frame, FrameMeta, Item
from icstream.stages.decode import SourceContext, SourceInfo
from icstream.stages.streets import Street

NUM_FRAMES = 25
TIME_BASE = Fraction(1, 25)
SIZE = (180, 240)


class StreetSource:
    """One second of the street whose seed stands behind the colon."""

    def __init__(self, context: SourceContext) -> None:
        if not context.rest.isdigit():
            raise ConfigError(f"street: write it as street:SEED, got street:{context.rest}")
        self._context = context
        self._street = Street(int(context.rest), size=SIZE)
        self.info = SourceInfo("pts", TIME_BASE, NUM_FRAMES, SIZE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Item]:
        """Gives the frames, and keeps the books of what it gives."""
        stream, books = self._context.stream, self._context.books
        for index in range(NUM_FRAMES):
            picture, _ = self._street.render(float(index * TIME_BASE))
            books.packets += 1
            books.decoded += 1
            books.in_flight += 1
            yield Frame(FrameMeta(stream, index, index, TIME_BASE, SIZE), picture)
        yield End(stream)
