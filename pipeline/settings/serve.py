"""The settings of `icstream serve`."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from icstream.model import ConfigError
from icstream.model.fit_settings import FitSettings
from icstream.model.pretrained import DEFAULT
from icstream.model.runtimes import Precision, RuntimeName
from icstream.model.settings_base import DEFAULT_THREADS, OldKey, ParsedBy, renamed
from icstream.model.size_text import SIZE_SCHEMA, Size, parse_any_size
from icstream.pipeline.settings.loader import Settings
from icstream.pipeline.settings.reader import SettingsReader

PORT_VARIABLE = "rest_inference_port"
"""Environment variable of the plugin that sets the port."""
DEFAULT_PORT = 5000
"""Port of the plugin when that variable is not set."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

SizeSetting = Annotated[Size, ParsedBy(parse_any_size, text=SIZE_SCHEMA)]


def _read_warm_up(sizes: Any) -> Mapping[str, Any]:
    if isinstance(sizes, list):
        sizes = [parse_any_size(size, order="HEIGHTxWIDTH") for size in sizes]
    return {"warm_up_sizes": sizes}


class ServerSettings(Settings):
    """The address of the service, and access control."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 means all networks of this machine."""
    port: int = Field(DEFAULT_PORT, ge=0, le=65_535)
    """Port to listen on; 0 picks a free port; by default the environment variable
    `rest_inference_port`, if set."""
    token_file: Path | None = None
    """File with the access token for all requests, required if other machines can reach the
    service; by default the environment variable `ICSTREAM_SERVE_TOKEN` holds the token."""
    without_token: bool = False
    """Whether to allow unauthenticated access from other machines."""


class ServedModelSettings(Settings):
    """The inference backend, shared by all networks."""

    runtime: RuntimeName = "auto"
    """Inference runtime; auto is OpenVINO on a CPU and PyTorch on a GPU."""
    device: str = "auto"
    """Inference device: auto, cpu, cuda or cuda:N."""
    precision: Precision = "auto"
    """Inference precision; auto is the fastest whose agreement with fp32 was measured for the
    checkpoint and found sufficient, otherwise fp32."""
    threads: int = Field(DEFAULT_THREADS, ge=1, le=256)
    """CPU threads per worker."""
    workers: int | None = Field(None, ge=1, le=256)
    """Number of requests that are processed at the same time; by default the number of cores
    divided by `model.threads`, or 1 on a GPU."""
    warm_up_sizes: list[SizeSetting] = Field(default_factory=lambda: [(540, 960)])
    """Image sizes, as WIDTHxHEIGHT, for which the networks are prepared at the start."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {
        "warm_up": OldKey(("warm_up_sizes",), _read_warm_up, lambda values: values["warm_up_sizes"])
    }


class LimitSettings(Settings):
    """Limits of requests."""

    body_bytes: int = Field(32 * 2**20, ge=1024, le=2**30)
    """Most bytes of a request."""
    pixels: int = Field(16_000_000, ge=1, le=64 * 2**20)
    """Most pixels of an image, in which sides below 64 count as 64; larger images are rejected
    before decoding."""
    json_bytes: int = Field(8 * 2**20, ge=1024, le=2**30)
    """Most bytes of JSON or form text in a request."""
    images: int = Field(16, ge=1, le=1024)
    """Most images in one request of the Open Inference Protocol."""
    requests: int = Field(64, ge=1, le=10_000)
    """Most requests that wait or are processed at the same time; further requests get status
    503."""
    crops: int = Field(4096, ge=1, le=10**6)
    """Most windows or boxes per image in a mode of the plugin."""
    memory_mb: int | None = Field(None, ge=64)
    """Most memory in MB for request bodies, processing and responses; by default a share of the
    available memory."""
    wait_s: float = Field(30, gt=0, le=3600)
    """Longest time in seconds that a request may wait for processing before it gets status 503."""
    work_s: float = Field(120, gt=0, le=3600)
    """Longest time in seconds for processing a request before it gets status 413."""
    receive_s: float = Field(30, gt=0, le=3600)
    """Longest time in seconds for receiving a request."""
    send_s: float = Field(30, gt=0, le=3600)
    """Longest time in seconds for sending a response."""
    connections: int = Field(512, ge=1, le=65_536)
    """Most requests in progress, including those still being received or sent; health checks are
    answered beyond this limit."""
    stop_s: float = Field(30, gt=0, le=3600)
    """Longest time in seconds to finish requests when the service is stopped."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"pictures": renamed("images")}


class ServeConfig(Settings):
    """All settings of `icstream serve`."""

    weights: dict[str, str] = Field(default_factory=lambda: {DEFAULT: DEFAULT})
    """Checkpoint files or names of shipped weights, by the names under which they are served; the
    first is the default model."""
    server: ServerSettings = ServerSettings()
    """The address of the service, and access control."""
    model: ServedModelSettings = ServedModelSettings()
    """The inference backend."""
    fit: FitSettings = FitSettings()
    """Fitting of images to the network."""
    limits: LimitSettings = LimitSettings()
    """Limits of requests."""

    @field_validator("weights")
    @classmethod
    def _named(cls, weights: dict[str, str]) -> dict[str, str]:
        if not weights:
            raise ValueError("at least one model is required")
        for name in weights:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"name {name!r}: only letters, digits, '.', '_' and '-' are allowed"
                )
        return weights


def load_serve_config(
    file: str | None,
    assignments: Iterable[str],
    options: Mapping[str, Any],
    *,
    weights: Iterable[str] = (),
) -> ServeConfig:
    """Return the configuration; later sources take precedence.

    Args:
        file: a YAML or JSON file, the name of a preset, or None.
        assignments: "section.key=value" texts with values in YAML.
        options: values of command-line options by dotted key; None means not given.
        weights: "NAME=FILE" texts; the name defaults to that of the file.

    Raises:
        ConfigError: some settings are invalid; the error has a clause with the path of each.
    """
    reader = SettingsReader(ServeConfig, file, kind="serve")
    server = reader.values.setdefault("server", {})
    if isinstance(server, dict):
        server.setdefault("port", _port_of_environment())
    reader.assign(assignments)
    reader.put_options(options)
    named = _named_weights(weights)
    if named:
        reader.values["weights"] = named
    config = reader.check()
    config.fit.fit()
    return config


def _port_of_environment() -> int:
    text = os.environ.get(PORT_VARIABLE, "").strip()
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and len(text) <= 5) or int(text) > 65_535:
        raise ConfigError(f"environment variable {PORT_VARIABLE}: must be a port, got {text!r}")
    return int(text)


def _named_weights(texts: Iterable[str]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not equals:
            name, place = Path(text).stem, text
        if name in named:
            raise ConfigError(
                f"--weights {text}: the name {name} is already used; choose another as NAME=FILE"
            )
        named[name] = place
    return named
