"""The ranges of activations, which int8 needs: how large the inputs of convolutions get."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from icstream.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of activations, measured on images; they hold for inputs of any size.

    Convolutions that are not named are not to be computed in int8.
    """

    highs: Mapping[str, float]
    """The largest input that int8 resolves, by convolution ("conv4.2.increase")."""
    calibrated_on: str
    """The images that they were measured on, for people."""

    def __post_init__(self) -> None:
        wrong = [
            name for name, high in self.highs.items() if not (math.isfinite(high) and high > 0)
        ]
        if wrong or not self.highs:
            got = f"{self.highs[wrong[0]]} for {wrong[0]}" if wrong else "none"
            raise ConfigError(f"ranges of int8: got {got}, allowed are numbers above 0")
