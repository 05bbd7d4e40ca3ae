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
"""Environment variable of the plugin that names the port."""
DEFAULT_PORT = 5000
"""The plugin's port without that variable."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

SizeSetting = Annotated[Size, ParsedBy(parse_any_size, text=SIZE_SCHEMA)]


def _read_warm_up(sizes: Any) -> Mapping[str, Any]:
    if isinstance(sizes, list):
        sizes = [parse_any_size(size, order="HEIGHTxWIDTH") for size in sizes]
    return {"warm_up_sizes": sizes}


class ServerSettings(Settings):
    """Where the service listens, and who may use it."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every network of this machine."""
    port: int = Field(DEFAULT_PORT, ge=0, le=65_535)
    """Port, 0 for any free one; without it `rest_inference_port` in the environment counts."""
    token_file: Path | None = None
    """A file with the secret token of every request, required where other machines can reach the
    service; without it `ICSTREAM_SERVE_TOKEN` in the environment counts."""
    without_token: bool = False
    """Whether other machines may use the service without a token."""


class ServedModelSettings(Settings):
    """What runs the networks, the same for each of them."""

    runtime: RuntimeName = "auto"
    """auto takes OpenVINO on a CPU and PyTorch on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Precision = "auto"
    """auto takes the fastest that the checkpoint was measured to stand, and otherwise fp32."""
    threads: int = Field(DEFAULT_THREADS, ge=1, le=256)
    """CPU threads of inference of each worker."""
    workers: int | None = Field(None, ge=1, le=256)
    """Requests that are processed at a time; without it cores divided by threads, or 1 on a GPU."""
    warm_up_sizes: list[SizeSetting] = Field(default_factory=lambda: [(540, 960)])
    """Sizes of images, as WIDTHxHEIGHT, for which the networks are prepared at the start."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {
        "warm_up": OldKey(("warm_up_sizes",), _read_warm_up, lambda values: values["warm_up_sizes"])
    }


class LimitSettings(Settings):
    """Bounds of requests."""

    body_bytes: int = Field(32 * 2**20, ge=1024, le=2**30)
    """Most bytes of a request."""
    pixels: int = Field(16_000_000, ge=1, le=64 * 2**20)
    """Most pixels of an image; a larger one is refused before it is decoded."""
    json_bytes: int = Field(8 * 2**20, ge=1024, le=2**30)
    """Most bytes of JSON in a request, and of a form of text."""
    images: int = Field(16, ge=1, le=1024)
    """Most images in one request of the Open Inference Protocol."""
    requests: int = Field(64, ge=1, le=10_000)
    """Most requests that wait or are processed at a time; others are answered with 503."""
    crops: int = Field(4096, ge=1, le=10**6)
    """Most windows or boxes of one image that a mode of the plugin looks at."""
    memory_mb: int | None = Field(None, ge=64)
    """Memory in MB for bodies, work and answers; by default a share of what is available."""
    wait_s: float = Field(30, gt=0, le=3600)
    """Longest wait in seconds until a request is processed; then it is answered with 503."""
    work_s: float = Field(120, gt=0, le=3600)
    """Longest time in seconds that a request is worked on; then it is answered with 413."""
    receive_s: float = Field(30, gt=0, le=3600)
    """Longest time in seconds for a request to arrive."""
    send_s: float = Field(30, gt=0, le=3600)
    """Longest time in seconds for a client to take an answer."""
    connections: int = Field(512, ge=1, le=65_536)
    """Most requests in progress at a time, those that are still arriving or being sent included;
    probes of health are answered beyond it."""
    stop_s: float = Field(30, gt=0, le=3600)
    """Longest time in seconds to finish requests when the service is stopped."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"pictures": renamed("images")}


class ServeConfig(Settings):
    """All settings of `icstream serve`."""

    weights: dict[str, str] = Field(default_factory=lambda: {DEFAULT: DEFAULT})
    """Checkpoint files or names of shipped weights, by the names under which they are served; a
    request that names none gets the first."""
    server: ServerSettings = ServerSettings()
    """Where the service listens, and who may use it."""
    model: ServedModelSettings = ServedModelSettings()
    """What runs the networks."""
    fit: FitSettings = FitSettings()
    """How images are fitted to the network."""
    limits: LimitSettings = LimitSettings()
    """Bounds of requests."""

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
    """Return the configuration; later sources win.

    Args:
        file: a YAML or JSON file, the name of a preset, or None.
        assignments: "section.key=value" texts, values read as YAML.
        options: dotted keys of command-line options; those that are None were not given.
        weights: "NAME=FILE" texts; without a name the file's own is taken.

    Raises:
        ConfigError: some settings cannot be used; each has a clause with its path.
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
