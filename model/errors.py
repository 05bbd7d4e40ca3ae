"""What can go wrong, as one tree.

    IcstreamError
    ├── ConfigError            the caller's mistake; also a ValueError. Exit code 2
    │   ├── CheckpointError        a weights file that cannot be used as asked
    │   │   └── ConversionError        foreign weights that do not fill the network
    │   └── MisfitError            a mode of annotating that this image is too small for
    ├── SourceError            the input is gone, or cannot be opened
    ├── LoaderError            a process that loads images for a training is gone. Exit code 1
    ├── StageError             this frame only; it is counted and the stream goes on
    ├── OverBudgetError        more memory than may be reserved
    └── SampleError            this image, its labels or its annotation only; the job goes on
        ├── UnknownImageError      no image, or none in a format that may be used
        └── TooManyPixelsError     an image larger than allowed

`MisfitError` is in `icstream.stages.annotate`, `LoaderError` in `icstream.stages.train.loader`,
`OverBudgetError` in `icstream.model.memory`; the last two are in `icstream.stages.image_files`.

Outside the tree, as they never reach the user of a command or of a function, are

- `RefusedError` (`icstream.pipeline.serve`): a request that is answered with an HTTP error;
- `WireError` (`icstream.pipeline.wire`): a damaged message, for which a worker is replaced;
- `Stopped` (`icstream.pipeline.wire`): no error, but the way out of a worker's loop;
- `ProtobufError` and `UnsafeError` (`icstream.model.foreign`): weights that cannot be read,
  of which the caller makes a `CheckpointError`.

Anything else that is raised is a mistake in icstream itself and ends the process.
"""

from typing import Any


class IcstreamError(Exception):
    """Base of every error that icstream raises on purpose; its text is one line for the user."""


class ConfigError(IcstreamError, ValueError):
    """A setting or argument that cannot be used: names it, what was got, what is allowed."""


class CheckpointError(ConfigError):
    """A weights file that is damaged, of another kind, or does not fit the network."""


class ConversionError(CheckpointError):
    """Foreign weights that do not fill the network, or not with usable numbers.

    Attributes:
        report: what was found and what was not, as plain JSON values.
    """

    def __init__(self, text: str, report: dict[str, Any]) -> None:
        super().__init__(text)
        self.report = report


class SourceError(IcstreamError):
    """An input that cannot be opened, or that went away while it was read."""


class StageError(IcstreamError):
    """One frame that a stage could not process.

    Attributes:
        reason: a few fixed words under which the frame is counted as failed.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class SampleError(IcstreamError):
    """One image or its labels cannot be used; the text names the file and what is wrong."""
