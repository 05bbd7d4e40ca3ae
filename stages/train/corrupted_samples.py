"""Samples that cannot be used: counted once each, over all workers and ranks."""

import logging

from icstream.model import ConfigError
from icstream.stages.train.data_loading import Failures
from icstream.stages.train.ranks import Ranks

log = logging.getLogger(__name__)

_MAX_NAMED = 3


class Corrupted:
    """The corrupted samples of one split, and how many there may be.

    Attributes:
        failures: what was wrong, by the sample's name.
    """

    def __init__(self, kind: str, *, allowed: int, ranks: Ranks) -> None:
        self.failures: Failures = {}
        self._kind = kind
        self._allowed = allowed
        self._ranks = ranks

    def note(self, failures: Failures) -> None:
        """Count what this rank came upon; every rank must call it at the same step.

        Raises:
            ConfigError: more samples are corrupted than may be; the first are named.
        """
        if not self._ranks.any(any(name not in self.failures for name in failures)):
            return
        for name, why in sorted(self._ranks.merge(failures).items()):
            if name not in self.failures:
                self.failures[name] = why
                log.warning("corrupted %s sample: %s", self._kind, why)
        if len(self.failures) > self._allowed:
            named = "; ".join(list(self.failures.values())[:_MAX_NAMED])
            raise ConfigError(
                f"{len(self.failures)} corrupted {self._kind} samples, allowed are"
                f" {self._allowed}: {named}"
            )
