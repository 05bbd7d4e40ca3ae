"""The settings of a run: one schema, filled from defaults, YAML, `--set` and options in turn."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from icstream.model import ConfigError, Fit
from icstream.model.zoo import DEFAULT
from icstream.pipeline.settings import Settings, assign, check, put, read_settings


def _parse_size(value: object) -> object:
    if isinstance(value, str):
        height, cross, width = value.lower().partition("x")
        if cross and height.isdigit() and width.isdigit():
            return int(height), int(width)
        raise ValueError("a size is HEIGHTxWIDTH, for example 512x1024")
    return value


class DecodeSettings(Settings):
    """How recordings are read."""

    threads: int = Field(1, ge=1, le=64)
    """Threads of each decoder."""
    loop: int = Field(1, ge=1, le=1_000_000)
    """How often each source is read from beginning to end."""


class FitSettings(Settings):
    """How pictures are fitted to the network's input."""

    mode: Literal["auto", "native", "stretch", "letterbox"] = "auto"
    """auto: as the weights were trained; native: every pixel as it is, padded; stretch, letterbox:
    resized to `size` and back."""
    size: Annotated[tuple[int, int] | None, BeforeValidator(_parse_size)] = None
    """HEIGHTxWIDTH for stretch and letterbox."""
    double_below: int = Field(0, ge=0, le=10_000)
    """native: pictures whose shorter side has fewer pixels are shown twice as large."""

    def fit(self) -> Fit | None:
        """Gives the rule as `model` knows it; None: the one in the checkpoint."""
        if self.mode != "auto":
            return Fit(self.mode, self.size, self.double_below)
        if self.size is not None or self.double_below:
            raise ConfigError("fit.size and fit.double_below need fit.mode")
        return None


class ModelSettings(Settings):
    """Which network, and what runs it."""

    weights: str = DEFAULT
    """A checkpoint file, the name of shipped weights, or "random"."""
    runtime: Literal["auto", "openvino", "torch"] = "auto"
    """auto: OpenVINO on a CPU, PyTorch on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: the fastest that the checkpoint was measured to stand, else fp32."""
    threads: int = Field(2, ge=1, le=256)
    """Threads of inference; part of what fixes the masks, so never derived from the machine."""


class PipelineSettings(Settings):
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


class SupervisionSettings(Settings):
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


class OutputSettings(Settings):
    """What is written."""

    sinks: list[str] | None = None
    """By name; if none is given masks and overlay, for images png."""
    resume: bool = False
    """Go on with a run that was interrupted; settings and weights must be the same."""
    overwrite: bool = False
    """Replace what an earlier run wrote into the same folder."""


class RunConfig(Settings):
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


def load_config(
    file: str | None, assignments: Iterable[str], options: Mapping[str, Any]
) -> RunConfig:
    """Builds the configuration; later sources win.

    Args:
        file: a YAML or JSON file, the name of a ready-made configuration, or None.
        assignments: "section.key=value" texts, values read as YAML.
        options: dotted keys of command-line options; those that are None were not given.

    Raises:
        ConfigError: every fault at once, one clause each, with its path.
    """
    values = read_settings(file, kind="run") if file else {}
    assign(values, assignments)
    for key, value in options.items():
        if value is not None:
            put(values, key, value)
    config = check(RunConfig, values, origin=file)
    config.fit.fit()
    return config
