"""The accounting of one stream, in which every packet and every frame has exactly one outcome.

Each counter is incremented where its event happens and none is computed from another, so that
`faults()` compares independent counts.
"""

from collections import Counter
from dataclasses import dataclass, field

from icstream.model.renamed import renamed_fields


@renamed_fields(without_picture="without_frame")
@dataclass(slots=True)
class FrameAccounting:
    """The counters of one stream."""

    packets: int = 0
    """The compressed frames read from the source (for images: files)."""
    in_decoder: int = 0
    """The packets whose frame is still in the decoder."""
    decoded: int = 0
    """The frames delivered by the decoder."""
    undecodable: Counter[str] = field(default_factory=Counter)
    """The packets that failed to yield a frame, by reason."""
    without_frame: Counter[str] = field(default_factory=Counter)
    """The packets that rightly yield no frame of their own (second fields, hidden frames), by
    reason."""
    missing: int = 0
    """The frames in the file's index beyond the packets that could be read."""
    encoded: int = 0
    """The frames written by all sinks."""
    dropped: Counter[str] = field(default_factory=Counter)
    """The frames dropped on purpose, by reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """The frames that a stage could not process, by reason."""
    in_flight: int = 0
    """The frames currently between decoder and sinks."""
    noted: Counter[str] = field(default_factory=Counter)
    """The decoded frames with a harmless anomaly, by anomaly."""
    cut_short: str | None = None
    """The reason why part of the source could not be read, or None."""
    left_out: Counter[str] = field(default_factory=Counter)
    """The images of the source that were not requested, by kind."""

    def faults(self) -> list[str]:
        """Return a sentence for each equation that does not hold; none if the counters balance."""
        undecodable, hidden = self.undecodable.total(), self.without_frame.total()
        dropped, failed = self.dropped.total(), self.failed.total()
        faults = []
        if self.packets != self.decoded + undecodable + hidden + self.in_decoder:
            faults.append(
                f"packets {self.packets} != decoded {self.decoded} + undecodable {undecodable}"
                f" + without frame {hidden} + in decoder {self.in_decoder}"
            )
        if self.decoded != self.encoded + dropped + failed + self.in_flight:
            faults.append(
                f"decoded {self.decoded} != encoded {self.encoded} + dropped {dropped}"
                f" + failed {failed} + in flight {self.in_flight}"
            )
        return faults

    def losses(self) -> str:
        """Return what could not be read, as text; for a source that is not complete."""
        lost = f"{self.undecodable.total()} frames undecodable, {self.missing} missing"
        return f"{lost}; {self.cut_short}" if self.cut_short else lost

    @property
    def complete(self) -> bool:
        """Whether every frame of the source was decoded and none failed."""
        return not (self.undecodable or self.failed or self.missing or self.cut_short)
