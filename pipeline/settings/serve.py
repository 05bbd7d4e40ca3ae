"""The settings of `icstream serve`."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from icstream.model import ConfigError
from icstream.model.pretrained import DEFAULT
from icstream.pipeline.settings.loader import Settings, assign, check, put, read_settings
from icstream.pipeline.settings.run import FitSettings, parse_size

PORT_VARIABLE = "rest_inference_port"
"""Environment variable of the plugin that named the port,"""
DEFAULT_PORT = 5000
"""and what it took without."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Size = Annotated[tuple[int, int], BeforeValidator(parse_size)]


class ServerSettings(Settings):
    """Where the service listens, and to whom."""

    host: str = "127.0.0.1"
    """Address; 0.0.0.0 is every network that the machine is in."""
    port: int = Field(DEFAULT_PORT, ge=0, le=65_535)
    """0: any that is free. Without it the environment variable `rest_inference_port` counts."""
    token_file: Path | None = None
    """A file with the secret that every request must bring; needed beyond this machine. Without it
    the environment variable `ICSTREAM_SERVE_TOKEN` counts."""
    without_token: bool = False
    """Listen beyond this machine without a token: whoever reaches the port may use it."""


class ServedModelSettings(Settings):
    """What runs the networks; the same for each of them."""

    runtime: Literal["auto", "openvino", "torch", "onnx"] = "auto"
    """auto: OpenVINO on a CPU, PyTorch on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """auto: the fastest that the checkpoint was measured to stand, else fp32."""
    threads: int = Field(1, ge=1, le=256)
    """Threads of inference of each worker."""
    workers: int | None = Field(None, ge=1, le=256)
    """Requests that are worked on at once; if none is given, cores divided by threads, one on a
    GPU."""
    warm_up: list[Size] = Field(default_factory=lambda: [(540, 960)])
    """HEIGHTxWIDTH of images for which everything is made ready before the service says so."""


class LimitSettings(Settings):
    """What a request may ask for."""

    body_bytes: int = Field(32 * 2**20, ge=1024, le=2**30)
    """Of a request."""
    pixels: int = Field(16_000_000, ge=1, le=64 * 2**20)
    """Of an image; more are refused before they are unpacked."""
    pictures: int = Field(16, ge=1, le=1024)
    """In one request of the Open Inference Protocol."""
    requests: int = Field(64, ge=1, le=10_000)
    """That wait or are worked on; more are sent away with 503."""
    wait_s: float = Field(30, gt=0, le=3600)
    """Until a request is begun; after that it is sent away with 503."""
    receive_s: float = Field(30, gt=0, le=3600)
    """Until a request has arrived."""
    connections: int = Field(512, ge=1, le=65_536)
    """At once."""
    stop_s: float = Field(30, gt=0, le=3600)
    """For what is under way when the service is stopped."""


class ServeConfig(Settings):
    """All settings of `icstream serve`."""

    weights: dict[str, str] = Field(default_factory=lambda: {DEFAULT: DEFAULT})
    """Checkpoint files or names of shipped weights, by the names under which they are served; the
    first is taken where a request names none."""
    server: ServerSettings = ServerSettings()
    """Listening."""
    model: ServedModelSettings = ServedModelSettings()
    """Inference."""
    fit: FitSettings = FitSettings()
    """Geometry."""
    limits: LimitSettings = LimitSettings()
    """Bounds."""

    @field_validator("weights")
    @classmethod
    def _named(cls, weights: dict[str, str]) -> dict[str, str]:
        if not weights:
            raise ValueError("at least one model is needed")
        for name in weights:
            if not _NAME.fullmatch(name):
                raise ValueError(f"name {name!r}: letters, digits, '.', '_' and '-' are allowed")
        return weights


def load_serve_config(
    file: str | None,
    assignments: Iterable[str],
    options: Mapping[str, Any],
    *,
    weights: Iterable[str] = (),
) -> ServeConfig:
    """Builds the configuration; later sources win.

    Args:
        file: a YAML or JSON file, the name of a ready-made configuration, or None.
        assignments: "section.key=value" texts, values read as YAML.
        options: dotted keys of command-line options; those that are None were not given.
        weights: "NAME=FILE" texts; without a name the file's own is taken.

    Raises:
        ConfigError: every fault at once, one clause each, with its path.
    """
    values = read_settings(file, kind="serve") if file else {}
    server = values.setdefault("server", {})
    if isinstance(server, dict):
        server.setdefault("port", _port_of_environment())
    assign(values, assignments)
    for key, value in options.items():
        if value is not None:
            put(values, key, value)
    named = _named_weights(weights)
    if named:
        values["weights"] = named
    config = check(ServeConfig, values, origin=file)
    config.fit.fit()
    return config


def _port_of_environment() -> int:
    text = os.environ.get(PORT_VARIABLE, "").strip()
    if not text:
        return DEFAULT_PORT
    if not text.isdigit() or int(text) > 65_535:
        raise ConfigError(f"environment variable {PORT_VARIABLE}: got {text!r}, a port is needed")
    return int(text)


def _named_weights(texts: Iterable[str]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not equals:
            name, place = Path(text).stem, text
        if name in named:
            raise ConfigError(f"--weights {text}: the name {name} is taken; write NAME=FILE")
        named[name] = place
    return named
