"""The choice of weights and inference backend for a run."""

import os
from dataclasses import dataclass

from icstream.model import Fit, LabelSet, load_weights
from icstream.model.labels import Color
from icstream.model.runtimes import RuntimeChoice, select_runtime
from icstream.model.segmenter import mean_color
from icstream.pipeline.settings.run import RunConfig

_MAX_REPLICAS = 8
"""Most replicas by default, which keep up with one decoder."""


@dataclass(frozen=True, slots=True)
class Inference:
    """The weights and the way they are run."""

    weights: str
    labels: LabelSet
    choice: RuntimeChoice
    mean_color: Color
    """Color that fills the network's input beside the image."""
    fit: Fit
    digest: str
    """SHA-256 of the weights and their metadata."""
    replicas: int
    """Number of processes that run the network in parallel."""


def plan_inference(config: RunConfig) -> Inference:
    """Return weights and backend, resolving settings that are auto.

    Raises:
        ConfigError: weights, runtime or device are not available.
    """
    settings = config.model
    checkpoint = load_weights(settings.weights)
    choice = select_runtime(
        checkpoint,
        runtime=settings.runtime,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
    )
    return Inference(
        weights=settings.weights,
        labels=checkpoint.labels,
        choice=choice,
        mean_color=mean_color(checkpoint),
        fit=config.fit.fit() or checkpoint.fit,
        digest=checkpoint.digest(),
        replicas=config.pipeline.replicas or default_replicas(choice),
    )


def default_replicas(choice: RuntimeChoice) -> int:
    """Return as many replicas as the cores support and a decoder can feed; 1 on a GPU."""
    if choice.device != "cpu":
        return 1
    return min(max(1, num_cores() // choice.threads), _MAX_REPLICAS)


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
