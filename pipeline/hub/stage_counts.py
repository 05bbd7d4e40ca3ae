"""What each stage received, finished, failed and dropped of a stream."""

from dataclasses import dataclass

from icstream.stages import FrameAccounting

STAGES = ("preprocess", "segment", "encode")
"""The stages behind the decoder, in order."""


@dataclass(slots=True)
class StageCounts:
    """What one stage had to do with the frames of a stream; each counter has its own event."""

    received: int = 0
    """Frames that came in, each counted once."""
    finished: int = 0
    """Frames that went on."""
    failed: int = 0
    """Frames that the stage could not process."""
    dropped: int = 0
    """Frames that were left out on purpose."""
    in_flight: int = 0
    """Frames in it or waiting for it: raised and lowered as they pass."""
    retried: int = 0
    """Frames that were handed out once more because a worker was lost."""

    def receive(self) -> None:
        """Count a frame that comes in."""
        self.received += 1
        self.in_flight += 1

    def finish(self) -> None:
        """Count a frame that goes on."""
        self.finished += 1
        self.in_flight -= 1

    def fail(self) -> None:
        """Count a frame that the stage could not process."""
        self.failed += 1
        self.in_flight -= 1

    def drop(self) -> None:
        """Count a frame that is left out on purpose."""
        self.dropped += 1
        self.in_flight -= 1

    def retry(self) -> None:
        """Count a frame that is handed out once more."""
        self.retried += 1


class FrameCounts:
    """What became of the frames of a stream, as a whole and stage by stage.

    Attributes:
        stages: The counts of each stage.
    """

    def __init__(self, accounting: FrameAccounting) -> None:
        """Begin at zero; of the accounting, what is behind the decoder is counted here."""
        self.stages = {stage: StageCounts() for stage in STAGES}
        self._accounting = accounting
        self._num_skipped = 0
        """Frames that left the decoder and that no stage got."""

    def open(self, stage: str) -> None:
        """Count a frame that comes from the decoder to a stage."""
        self._accounting.in_flight += 1
        self.stages[stage].receive()

    def skip(self, reason: str, *, failed: bool) -> None:
        """Count a frame that left the decoder and goes to no stage."""
        (self._accounting.failed if failed else self._accounting.dropped)[reason] += 1
        self._num_skipped += 1

    def advance(self, stage: str, to: str) -> None:
        """Count a frame that goes from one stage to another."""
        self.stages[stage].finish()
        self.stages[to].receive()

    def fail(self, stage: str, reason: str) -> None:
        """Count a frame that a stage could not process."""
        self._accounting.failed[reason] += 1
        self.stages[stage].fail()
        self._close()

    def drop(self, stage: str, reason: str) -> None:
        """Count a frame that is left out on purpose."""
        self._accounting.dropped[reason] += 1
        self.stages[stage].drop()
        self._close()

    def finish(self) -> None:
        """Count a frame that is durable."""
        self.stages[STAGES[-1]].finish()
        self._close()

    def find_imbalances(self, *, num_decoded: int, num_done_before: int) -> list[str]:
        """Return a sentence for each count that does not match, once the last frame is through.

        Args:
            num_decoded: Frames that came from the decoder.
            num_done_before: Those of an earlier run among them, which only the last stage receives.
        """
        found = []
        due = num_decoded - num_done_before - self._num_skipped
        for stage, counts in self.stages.items():
            if stage == STAGES[-1]:
                due += num_done_before
            if counts.received != due:
                found.append(f"{stage} received {counts.received} frames of {due}")
            gone = counts.finished + counts.failed + counts.dropped + counts.in_flight
            if counts.received != gone:
                found.append(
                    f"{stage} received {counts.received} frames != finished {counts.finished}"
                    f" + failed {counts.failed} + dropped {counts.dropped}"
                    f" + in flight {counts.in_flight}"
                )
            if counts.in_flight:
                found.append(f"{stage} still has {counts.in_flight} frames in flight")
            due = counts.finished
        return found

    def _close(self) -> None:
        self._accounting.in_flight -= 1
