"""The states of a live source."""

from typing import Literal, TypeAlias

ReadingState: TypeAlias = Literal["connecting", "live", "backing off", "ended"]
"""What the reader of a source is doing: "live" means that frames come."""
SourceState: TypeAlias = ReadingState | Literal["stalled"]
"""The same as seen from outside, where a source that says nothing is "stalled"."""
