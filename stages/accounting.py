"""The accounting of one stream: every packet and every frame ends up under exactly one heading.

Each counter is raised where its event happens and none is computed from another, so that
`faults()` compares independent counts.
"""

from collections import Counter
from dataclasses import dataclass, field

from icstream.model.renamed import renamed_fields


@renamed_fields(without_picture="without_frame")
@dataclass(slots=True)
class FrameAccounting:
    """Counters of one stream."""

    packets: int = 0
    """Compressed frames read from the source (for images: files)."""
    in_decoder: int = 0
    """Packets whose frame has not left the decoder: raised and lowered as they pass."""
    decoded: int = 0
    """Frames handed on by the decoder."""
    undecodable: Counter[str] = field(default_factory=Counter)
    """Packets that should have given a frame and gave none, by reason."""
    without_frame: Counter[str] = field(default_factory=Counter)
    """Packets that rightly give no image of their own (second fields, hidden frames)."""
    missing: int = 0
    """Frames that the file's own index promises beyond the packets that could be read."""
    encoded: int = 0
    """Frames written by all sinks."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Frames left out on purpose, by reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """Frames that a stage could not process, by reason."""
    in_flight: int = 0
    """Frames between decoder and sinks right now: raised and lowered as they pass."""
    noted: Counter[str] = field(default_factory=Counter)
    """Decoded frames with something unusual that costs nothing, by what it is."""
    cut_short: str | None = None
    """What of the source could not be read, and why; None if all of it was."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Images that the source holds and that were not asked for, by what they are."""

    def faults(self) -> list[str]:
        """Return a sentence for each equation that does not hold; none if accounts balance."""
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

    @property
    def complete(self) -> bool:
        """Whether every frame that the source holds was decoded and none failed."""
        return not (self.undecodable or self.failed or self.missing or self.cut_short)
