"""Settings of the sink `publish`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from icstream.model.settings_base import Limits, SettingsBase


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings(SettingsBase):
    """Masks for subscribers, over a ZeroMQ PUB socket."""

    address: str = "tcp://127.0.0.1:8788"
    """Address for subscribers; one that other machines can reach needs keys."""
    encoding: Literal["raw", "png"] = "raw"
    """raw sends a byte per pixel; png sends an indexed PNG, a tenth as large or less."""
    queue: Annotated[int, Limits(ge=1, le=1000)] = 4
    """Messages kept for a subscriber that does not keep up; further ones are lost to it."""
    secret_key_file: Path | None = None
    """CURVE certificate of the publisher, with its secret key."""
    clients: Path | None = None
    """Folder with the public CURVE certificates of those who may subscribe."""
