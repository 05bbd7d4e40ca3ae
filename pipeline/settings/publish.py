"""Settings of the sink `publish`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from icstream.model.settings_base import Limits, SettingsBase


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings(SettingsBase):
    """Publication of masks to subscribers over a ZeroMQ PUB socket."""

    address: str = "tcp://127.0.0.1:8788"
    """Address for subscribers; an address that other machines can reach requires keys."""
    encoding: Literal["raw", "png"] = "raw"
    """Format of masks: raw is one byte per pixel; png is an indexed PNG, a tenth of the size or
    less."""
    queue: Annotated[int, Limits(ge=1, le=1000)] = 4
    """Most messages queued per subscriber; further messages are lost for a subscriber that is too
    slow."""
    secret_key_file: Path | None = None
    """CURVE certificate file of the publisher, including its secret key."""
    clients: Path | None = None
    """Folder with the public CURVE certificates of the allowed subscribers."""
