"""What int8 needs to know of a network: how large the values get that its convolutions see."""

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
    """By convolution ("conv4.2.increase"): values at its input are told apart from 0 up to this."""
    calibrated_on: str
    """The images, for people."""

    def __post_init__(self) -> None:
        wrong = [
            name for name, high in self.highs.items() if not (math.isfinite(high) and high > 0)
        ]
        if wrong or not self.highs:
            got = f"{self.highs[wrong[0]]} for {wrong[0]}" if wrong else "none"
            raise ConfigError(f"ranges of int8: got {got}, allowed are numbers above 0")
