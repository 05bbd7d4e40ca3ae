"""A source in a package of its own, which renders a street.

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
    """A source of one second of the street whose seed follows the colon."""

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
        """Yield the frames, and count each in the accounting."""
        stream, accounting = self._context.stream, self._context.accounting
        for index in range(NUM_FRAMES):
            image, _ = self._street.render(float(index * TIME_BASE))
            accounting.packets += 1
            accounting.decoded += 1
            accounting.in_flight += 1
            yield Frame(FrameMeta(stream, index, index, TIME_BASE, SIZE), image)
        yield End(stream)
