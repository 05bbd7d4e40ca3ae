"""The states of a live source."""

from typing import Literal, TypeAlias

ReadingState: TypeAlias = Literal["connecting", "live", "backing off", "ended"]
"""The state of a source's reader; "live" means that frames arrive."""
SourceState: TypeAlias = ReadingState | Literal["stalled"]
"""The state of a source as reported, where one without frames is "stalled"."""
