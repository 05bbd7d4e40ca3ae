"""The settings of a run: one schema, filled from defaults, YAML, `--set` and options in turn."""

import difflib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from icstream.model import ConfigError, Fit


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _parse_size(value: object) -> object:
    if isinstance(value, str):
        height, cross, width = value.lower().partition("x")
        if cross and height.isdigit() and width.isdigit():
            return int(height), int(width)
        raise ValueError("a size is HEIGHTxWIDTH, for example 512x1024")
    return value


class DecodeSettings(_Settings):
    """How recordings are read."""

    threads: int = Field(1, ge=1, le=64)
    """Threads of each decoder."""
    loop: int = Field(1, ge=1, le=1_000_000)
    """How often each source is read from beginning to end."""


class FitSettings(_Settings):
    """How pictures are fitted to the network's input."""

    mode: Literal["native", "stretch", "letterbox"] = "native"
    """native: every pixel as it is, padded; stretch, letterbox: resized to `size` and back."""
    size: Annotated[tuple[int, int] | None, BeforeValidator(_parse_size)] = None
    """HEIGHTxWIDTH for stretch and letterbox."""

    def fit(self) -> Fit:
        """Gives the rule as `model` knows it."""
        return Fit(self.mode, self.size)


class ModelSettings(_Settings):
    """Which network, and what runs it."""

    weights: str | None = None
    """A checkpoint file, the name of shipped weights, or "random"."""
    runtime: Literal["auto", "openvino", "torch"] = "auto"
    """auto: OpenVINO on a CPU, PyTorch on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: the fastest that the checkpoint was measured to stand, else fp32."""
    threads: int = Field(2, ge=1, le=256)
    """Threads of inference; part of what fixes the masks, so never derived from the machine."""


class PipelineSettings(_Settings):
    """How the stages are spread over processes. The masks do not depend on it."""

    replicas: int | None = Field(None, ge=1, le=256)
    """Processes that run the network; if none is given, cores divided by `model.threads`."""
    preprocess_workers: int = Field(1, ge=1, le=64)
    """Processes that prepare pictures."""
    window: int | None = Field(None, ge=2, le=1024)
    """Frames of a stream in flight at most; bounds memory. If none is given, 4 + 3 per replica."""
    max_streams: int = Field(4, ge=1, le=256)
    """Streams that are worked on at once."""
    transport: Literal["shm", "ipc", "tcp"] = "shm"
    """shm: pixels in shared memory; ipc, tcp: pixels in the messages, over Unix or TCP sockets."""
    policy: Literal["auto", "every_frame", "freshest"] = "auto"
    """freshest: a frame that finds no room makes room by dropping the oldest one that waits;
    auto: every frame of recordings, the freshest of cameras."""


class SupervisionSettings(_Settings):
    """When a worker process counts as lost, and what then."""

    start_timeout_s: float = Field(120, gt=0, le=3600)
    """From its start, imports and model included, until it is ready."""
    beat_timeout_s: float = Field(1.5, ge=0.5, le=600)
    """Without any sign of life."""
    frame_timeout_s: float = Field(60, ge=0.5, le=3600)
    """At one frame."""
    restarts_per_minute: int = Field(5, ge=0, le=10_000)
    """Of one worker; at the next loss the run fails."""
    stop_timeout_s: float = Field(2.5, ge=0, le=600)
    """What frames in flight may take to finish when the run is stopped."""


class OutputSettings(_Settings):
    """What is written."""

    sinks: list[str] | None = None
    """By name; if none is given masks and overlay, for images png."""
    resume: bool = False
    """Go on with a run that was interrupted; settings and weights must be the same."""
    overwrite: bool = False
    """Replace what an earlier run wrote into the same folder."""


class RunConfig(_Settings):
    """All settings of `icstream run`."""

    decode: DecodeSettings = DecodeSettings()
    """Reading."""
    fit: FitSettings = FitSettings()
    """Geometry."""
    model: ModelSettings = ModelSettings()
    """Inference."""
    pipeline: PipelineSettings = PipelineSettings()
    """Processes."""
    supervision: SupervisionSettings = SupervisionSettings()
    """Deadlines."""
    output: OutputSettings = OutputSettings()
    """Writing."""


def preset_names() -> list[str]:
    """Gives the names of the ready-made configurations."""
    return sorted(
        Path(entry.name).stem
        for entry in files("icstream.configs").iterdir()
        if entry.name.endswith(".yaml")
    )


def load_config(
    file: str | None, assignments: Iterable[str], options: Mapping[str, Any]
) -> RunConfig:
    """Builds the configuration; later sources win.

    Args:
        file: a YAML file, the name of a ready-made configuration, or None.
        assignments: "section.key=value" texts, values read as YAML.
        options: dotted keys of command-line options; those that are None were not given.

    Raises:
        ConfigError: every fault at once, one clause each, with its path.
    """
    values = _read_yaml(file) if file else {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment}: write it as section.key=value")
        try:
            _put(values, key.strip(), yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment}: the value is not YAML") from error
    for key, value in options.items():
        if value is not None:
            _put(values, key, value)
    try:
        config = RunConfig.model_validate(values)
        config.fit.fit()
    except ValidationError as error:
        origin = f"{file}: " if file else ""
        clauses = "; ".join(_clause(fault) for fault in error.errors(include_url=False))
        raise ConfigError(origin + clauses) from error
    return config


def _read_yaml(file: str) -> dict[str, Any]:
    ready_made = files("icstream.configs") / f"{file}.yaml"
    text = ready_made if file in preset_names() else Path(file)
    try:
        values = yaml.safe_load(text.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(preset_names())
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror}); ready-made are {names}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise ConfigError(f"{file}{where}: not valid YAML") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: the top must be sections such as model:, got a {_kind(values)}")
    return values


def _put(values: dict[str, Any], dotted: str, value: object) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{dotted}: {section} is a value, not a section")
        values = inner
    values[key] = value


def _clause(fault: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path, _known_keys(RunConfig), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{path}: no such setting{hint}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{path}: {message[:1].lower()}{message[1:]}, got {fault['input']!r}"


def _known_keys(schema: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in schema.model_fields.items():
        keys.append(prefix + name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _known_keys(kind, f"{prefix}{name}.")
    return keys


def _kind(value: object) -> str:
    return type(value).__name__
