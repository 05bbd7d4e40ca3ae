"""Finding, opening and decoding of sources."""

from icstream.stages.decode.open import open_source
from icstream.stages.decode.source import Source, SourceContext, SourceInfo

__all__ = [
    "Source",
    "SourceContext",
    "SourceInfo",
    "open_source",
]
