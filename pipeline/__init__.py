"""The pipeline around the stages: settings, runs, the Python API and the command line.

`segment` is imported on first use, so that `icstream --help` does not load PyTorch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icstream.pipeline.api import Segmented, segment

__all__ = [
    "Segmented",
    "segment",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from icstream.pipeline import api

    return getattr(api, name)
