"""The ranges of the inputs of convolutions, which int8 inference needs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from icstream.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of activations, measured on images and valid for inputs of any size.

    Convolutions that are not named are not computed in int8.
    """

    highs: Mapping[str, float]
    """The largest input that int8 represents, by convolution name (such as "conv4.2.increase")."""
    calibrated_on: str
    """A description of the images that the ranges were measured on."""

    def __post_init__(self) -> None:
        wrong = [
            name for name, high in self.highs.items() if not (math.isfinite(high) and high > 0)
        ]
        if wrong or not self.highs:
            got = f"{self.highs[wrong[0]]} for {wrong[0]}" if wrong else "none"
            raise ConfigError(f"int8 ranges: got {got}, allowed are numbers above 0")
