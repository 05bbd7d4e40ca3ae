"""Counting of samples that cannot be used, once each over all workers and ranks."""

import logging

from icstream.model import ConfigError
from icstream.stages.train.data_loading import Failures
from icstream.stages.train.ranks import Ranks

log = logging.getLogger(__name__)

_MAX_NAMED = 3


class Corrupted:
    """The corrupted samples of one split, and their allowed number.

    Attributes:
        failures: The error of each sample, by name.
    """

    def __init__(self, kind: str, *, allowed: int, ranks: Ranks) -> None:
        self.failures: Failures = {}
        self._kind = kind
        self._allowed = allowed
        self._ranks = ranks

    def note(self, failures: Failures) -> None:
        """Count the failures of this rank; every rank must call this at the same step.

        Raises:
            ConfigError: More samples are corrupted than allowed; the text names the first ones.
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
