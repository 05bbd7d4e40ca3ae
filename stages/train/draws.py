"""The random numbers that several augmentations draw."""

import math

import numpy as np


def log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Return a number between the bounds whose logarithm is drawn evenly."""
    low, high = bounds
    return math.exp(rng.uniform(math.log(low), math.log(high)))
