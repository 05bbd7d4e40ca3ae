"""The settings of a run: one schema, filled from defaults, YAML, `--set` and options in turn."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr

from icstream.model.fit_settings import FitSettings
from icstream.model.pretrained import DEFAULT
from icstream.model.settings_base import DEFAULT_THREADS
from icstream.pipeline.settings.live import PolicyName, StreamSettings, merge_live
from icstream.pipeline.settings.loader import Settings
from icstream.pipeline.settings.publish import PublishSettings
from icstream.pipeline.settings.reader import SettingsReader
from icstream.stages.live.settings import LiveSettings
from icstream.stages.sinks.event_rules import EventSettings
from icstream.stages.sinks.rolling_video import RollingSettings


class DecodeSettings(Settings):
    """How recordings are read."""

    threads: int = Field(1, ge=1, le=64)
    """Threads of each decoder."""
    loop: int = Field(1, ge=1, le=1_000_000)
    """How often each source is read from beginning to end."""


class ModelSettings(Settings):
    """Which network, and what runs it."""

    weights: str = DEFAULT
    """A checkpoint file, the name of shipped weights, or "random"."""
    runtime: Literal["auto", "openvino", "torch", "onnx"] = "auto"
    """auto: OpenVINO on a CPU, PyTorch on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """auto: the fastest that the checkpoint was measured to stand, else fp32."""
    threads: int = Field(DEFAULT_THREADS, ge=1, le=256)
    """CPU threads of each replica. They fix the last bits of the masks, so they are never derived
    from the machine. 1 is fastest with a replica for each core; more shorten the latency."""


class PipelineSettings(Settings):
    """How the stages are spread over processes. The masks do not depend on it."""

    replicas: int | None = Field(None, ge=1, le=256)
    """Processes that run the network; if none is given, cores divided by `model.threads`, but no
    more than 8."""
    preprocess_workers: int = Field(1, ge=1, le=64)
    """Processes that prepare images."""
    window: int | None = Field(None, ge=2, le=1024)
    """Frames of a stream in flight at most; bounds memory. If none is given, 4 + 3 per replica."""
    max_streams: int = Field(4, ge=1, le=256)
    """Recordings that are worked on at once; live sources do not wait for one another."""
    transport: Literal["shm", "ipc", "tcp"] = "shm"
    """shm: pixels in shared memory; ipc, tcp: pixels in the messages, over Unix or TCP sockets."""
    policy: PolicyName = "auto"
    """freshest: the newest frame goes first, and older ones that nobody works on are dropped;
    auto: every frame of recordings, the freshest of live sources."""


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
    rolling: RollingSettings = RollingSettings()
    """Of the sink `rolling`."""
    events: EventSettings = EventSettings()
    """Of the sink `events`."""
    publish: PublishSettings = PublishSettings()
    """Of the sink `publish`."""
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of the sinks of other packages, by name; see their own documentation."""


class ViewSettings(Settings):
    """The live view in a browser, and figures for monitoring."""

    show: bool = False
    """Whether there is a live view."""
    address: str = "127.0.0.1:8787"
    """HOST:PORT of the live view."""
    metrics_address: str | None = None
    """HOST:PORT of /metrics, /status, /healthz and /readyz alone; the live view has them too."""
    token: SecretStr | None = None
    """What readers must know; needed where other machines can reach the address."""
    frames_per_second: float = Field(10, gt=0, le=30)
    """Images a second of each stream, at most."""
    max_side: int = Field(1280, ge=64, le=8192)
    """Larger images are shrunk before they are shown."""


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
    view: ViewSettings = ViewSettings()
    """Looking."""
    live: LiveSettings = LiveSettings()
    """Cameras and network streams."""
    streams: tuple[StreamSettings, ...] = ()
    """Sources with settings of their own, before those that are given as arguments."""


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
    reader = SettingsReader(RunConfig, file, kind="run")
    reader.assign(assignments)
    reader.put_options(options)
    config = reader.check()
    config.fit.fit()
    for number, stream in enumerate(config.streams):
        origin = f"{file or 'settings'}: streams.{number}.live"
        merge_live(config.live, stream.live, origin=origin)
    return config
