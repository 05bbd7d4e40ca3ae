"""Counts of the frames that each stage received, finished, failed and dropped."""

from dataclasses import dataclass

from icstream.stages import FrameAccounting

STAGES = ("preprocess", "segment", "encode")
"""The stages after the decoder, in order."""


@dataclass(slots=True)
class StageCounts:
    """The counts of one stage and stream, each incremented by its own event."""

    received: int = 0
    """Frames received, each counted once."""
    finished: int = 0
    """Frames passed on."""
    failed: int = 0
    """Frames that the stage could not process."""
    dropped: int = 0
    """Frames dropped on purpose."""
    in_flight: int = 0
    """Frames in the stage or waiting for it, incremented and decremented as they pass."""
    retried: int = 0
    """Frames handed out again because a worker was lost."""

    def receive(self) -> None:
        """Count a received frame."""
        self.received += 1
        self.in_flight += 1

    def finish(self) -> None:
        """Count a frame that is passed on."""
        self.finished += 1
        self.in_flight -= 1

    def fail(self) -> None:
        """Count a frame that the stage could not process."""
        self.failed += 1
        self.in_flight -= 1

    def drop(self) -> None:
        """Count a dropped frame."""
        self.dropped += 1
        self.in_flight -= 1

    def retry(self) -> None:
        """Count a frame that is handed out again."""
        self.retried += 1


class FrameCounts:
    """The counts of all frames of a stream, in total and by stage.

    Attributes:
        stages: The counts of each stage.
    """

    def __init__(self, accounting: FrameAccounting) -> None:
        """Start at zero, updating those counters of the accounting that follow the decoder."""
        self.stages = {stage: StageCounts() for stage in STAGES}
        self._accounting = accounting
        self._num_skipped = 0
        """Frames from the decoder that no stage received."""

    def open(self, stage: str) -> None:
        """Count a frame that goes from the decoder to a stage."""
        self._accounting.in_flight += 1
        self.stages[stage].receive()

    def skip(self, reason: str, *, failed: bool) -> None:
        """Count a frame from the decoder that goes to no stage."""
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
        """Count a dropped frame."""
        self._accounting.dropped[reason] += 1
        self.stages[stage].drop()
        self._close()

    def finish(self) -> None:
        """Count a durable frame."""
        self.stages[STAGES[-1]].finish()
        self._close()

    def find_imbalances(self, *, num_decoded: int, num_done_before: int) -> list[str]:
        """Return a message for each count that does not match after the last frame.

        Args:
            num_decoded: Number of frames from the decoder.
            num_done_before: Number of these from an earlier run, received only by the last stage.
        """
        found = []
        due = num_decoded - num_done_before - self._num_skipped
        for stage, counts in self.stages.items():
            if stage == STAGES[-1]:
                due += num_done_before
            if counts.received != due:
                found.append(f"{stage} received {counts.received} of {due} frames")
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
