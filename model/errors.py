"""The tree of errors.

    IcstreamError
    ├── ConfigError            the caller's mistake; also a ValueError. Exit code 2
    │   ├── CheckpointError        a weights file that cannot be used as asked
    │   │   └── ConversionError        foreign weights that do not fill the network
    │   └── MisfitError            an image that is too small for the mode of annotation
    ├── SourceError            the input cannot be opened, or was lost
    ├── LoaderError            a loader process of a training was lost. Exit code 1
    ├── StageError             one frame failed; it is counted and the stream continues
    ├── OverBudgetError        more memory than may be reserved
    └── SampleError            one image, its labels or its annotation failed; the job continues
        ├── UnknownImageError      not an image, or not in an allowed format
        └── TooManyPixelsError     an image larger than allowed

`MisfitError` is in `icstream.stages.annotate`, `LoaderError` in `icstream.stages.train.loader`,
`OverBudgetError` in `icstream.model.memory`; the last two are in `icstream.stages.image_files`.

These are outside the tree, as they never reach the user of a command or function:

- `RefusedError` (`icstream.pipeline.serve`): a request that is answered with an HTTP error;
- `WireError` (`icstream.pipeline.wire`): a damaged message, for which a worker is replaced;
- `Stopped` (`icstream.pipeline.wire`): not an error, but the exit from a worker's loop;
- `ProtobufError` and `UnsafeError` (`icstream.model.foreign`): weights that cannot be read, which
  the caller turns into a `CheckpointError`.

Any other exception is a bug in icstream and ends the process.
"""

from typing import Any


class IcstreamError(Exception):
    """Base class of errors that icstream raises on purpose, with one line of text for the user."""


class ConfigError(IcstreamError, ValueError):
    """A setting or argument is invalid; the text names it, the value, and what is allowed."""


class CheckpointError(ConfigError):
    """A weights file is damaged, of another kind, or does not fit the network."""


class ConversionError(CheckpointError):
    """Foreign weights do not fill the network, or hold unusable values.

    Attributes:
        report: The tensors that were found and those that were not, as plain JSON values.
    """

    def __init__(self, text: str, report: dict[str, Any]) -> None:
        super().__init__(text)
        self.report = report


class SourceError(IcstreamError):
    """An input cannot be opened, or was lost while it was read."""


class StageError(IcstreamError):
    """A stage could not process one frame.

    Attributes:
        reason: The fixed phrase under which the frame is counted as failed.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class SampleError(IcstreamError):
    """One image or its labels cannot be used; the text names the file and the error."""
