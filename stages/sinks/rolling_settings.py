"""Settings of the sink `rolling`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from icstream.model.settings_base import Limits, OldKey, SettingsBase, renamed, rescaled

_BYTES_PER_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingSettings(SettingsBase):
    """When a recording begins a new file, and which files are kept."""

    file_s: Annotated[float, Limits(gt=0, le=86_400)] | None = 60.0
    """A new file begins at every multiple of this many seconds, in the stream's own time."""
    file_bytes: Annotated[int, Limits(ge=1)] | None = None
    """A new file begins when masks and overlay together have reached this size."""
    overlay: bool = True
    """Whether the image with the mask over it is recorded too."""
    keep_files: Annotated[int, Limits(ge=1)] | None = None
    """Number of files of each kind that are kept, the current one included; without it all are."""
    keep_s: Annotated[float, Limits(gt=0)] | None = None
    """Files are removed when more than this was recorded since their last frame; jumps of the
    stream's time do not count."""
    keep_bytes: Annotated[int, Limits(ge=1)] | None = None
    """The oldest files are removed while all of them together are larger than this."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {
        "seconds": renamed("file_s"),
        "megabytes": rescaled("file_bytes", _BYTES_PER_MEGABYTE),
        "keep_seconds": renamed("keep_s"),
        "keep_megabytes": rescaled("keep_bytes", _BYTES_PER_MEGABYTE),
    }
