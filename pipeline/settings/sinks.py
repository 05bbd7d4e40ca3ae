"""The settings of sinks that have any."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from icstream.pipeline.settings.loader import Settings


class RollingSettings(Settings):
    """Recordings cut into files of which the oldest may be removed."""

    seconds: float | None = Field(60, gt=0, le=86_400)
    """A new file begins at every multiple of this, in the stream's own time."""
    megabytes: float | None = Field(None, gt=0, le=1_000_000)
    """A new file begins when masks and overlay together have become so large."""
    overlay: bool = True
    """Whether the image with the mask over it is recorded too."""
    keep_files: int | None = Field(None, ge=1)
    """How many files of each kind are kept, the one under way included; if none is given, all."""
    keep_seconds: float | None = Field(None, gt=0)
    """Files whose last frame is older than this, in the stream's own time, are removed."""
    keep_megabytes: float | None = Field(None, gt=0)
    """The oldest files are removed as long as all of them together are larger."""


class EventRule(Settings):
    """An event: a class has covered too much, or too little, of the image for some time."""

    name: str = Field(min_length=1)
    """Of the event; unique."""
    class_name: str = Field(alias="class")
    """Whose share is looked at."""
    above: float | None = Field(None, ge=0, le=1)
    """Begins when the share is larger than this;"""
    below: float | None = Field(None, ge=0, le=1)
    """or smaller than this. One of the two is given."""
    for_seconds: float = Field(0, ge=0)
    """It must be so for this long."""
    clear: float | None = Field(None, ge=0, le=1)
    """Ends when the share is no longer beyond this, which lies on the calm side of the threshold;
    if none is given, the threshold itself."""
    clear_for_seconds: float | None = Field(None, ge=0)
    """It must be so for this long; if none is given, as long as `for_seconds`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either above or below")
        if self.clear is not None:
            if self.above is not None and self.clear > self.above:
                raise ValueError(f"clear must not be more than above, {self.above}")
            if self.below is not None and self.clear < self.below:
                raise ValueError(f"clear must not be less than below, {self.below}")
        return self


class EventSettings(Settings):
    """What the sink `events` looks for."""

    rules: list[EventRule] = Field(default_factory=list)
    """One for each event."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError(f"names must be unique, got {', '.join(names)}")
        return self


class PublishSettings(Settings):
    """Masks for subscribers, over a ZeroMQ PUB socket."""

    address: str = "tcp://127.0.0.1:8788"
    """Where subscribers connect to; one that others can reach needs keys."""
    encoding: Literal["raw", "png"] = "raw"
    """raw: a byte per pixel; png: an indexed PNG, a tenth as large or less."""
    queue: int = Field(4, ge=1, le=1000)
    """Messages kept for a subscriber that does not keep up; further ones are lost to it."""
    secret_key_file: Path | None = None
    """CURVE certificate of the publisher, with its secret key."""
    clients: Path | None = None
    """Folder with the public CURVE certificates of those who may subscribe."""


def plain(settings: Settings) -> dict[str, Any]:
    """Gives settings as plain values, which travel to where the sink is made."""
    return settings.model_dump(mode="json", by_alias=True)
