"""Random numbers for several augmentations."""

import math

import numpy as np


def log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Return a log-uniform random number between the bounds."""
    low, high = bounds
    return math.exp(rng.uniform(math.log(low), math.log(high)))
