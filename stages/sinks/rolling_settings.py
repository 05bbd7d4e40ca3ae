"""The settings of the sink `rolling`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from icstream.model.settings_base import Limits, OldKey, SettingsBase, renamed, rescaled

_BYTES_PER_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingSettings(SettingsBase):
    """Settings of the sink `rolling`."""

    file_s: Annotated[float, Limits(gt=0, le=86_400)] | None = 60.0
    """Interval of new files, in seconds, which begin at its multiples in the stream's own time."""
    file_bytes: Annotated[int, Limits(ge=1)] | None = None
    """Size of masks and overlay together, in bytes, at which a new file begins."""
    overlay: bool = True
    """Whether to record the overlay too."""
    keep_files: Annotated[int, Limits(ge=1)] | None = None
    """Number of files of each kind to keep, including the current one; by default all."""
    keep_s: Annotated[float, Limits(gt=0)] | None = None
    """Recorded time since a file's last frame, in seconds, after which the file is removed; jumps
    of the stream's time do not count."""
    keep_bytes: Annotated[int, Limits(ge=1)] | None = None
    """Total size of all files, in bytes, above which the oldest are removed."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {
        "seconds": renamed("file_s"),
        "megabytes": rescaled("file_bytes", _BYTES_PER_MEGABYTE),
        "keep_seconds": renamed("keep_s"),
        "keep_megabytes": rescaled("keep_bytes", _BYTES_PER_MEGABYTE),
    }
