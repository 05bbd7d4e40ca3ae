"""The settings of a run: one schema, filled from defaults, YAML, `--set` and options in turn."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_serializer

from icstream.model.fit_settings import FitSettings
from icstream.model.pretrained import DEFAULT
from icstream.model.runtimes import Precision, RuntimeName
from icstream.model.settings_base import DEFAULT_THREADS, OldKey, renamed
from icstream.model.shown import hide_secrets
from icstream.pipeline.settings.live import PolicyName, StreamSettings, TrackSetting, merge_live
from icstream.pipeline.settings.loader import Settings
from icstream.pipeline.settings.publish import PublishSettings
from icstream.pipeline.settings.reader import SettingsReader
from icstream.stages.decode.find import PagesName
from icstream.stages.live.settings import LiveSettings
from icstream.stages.sinks import EventSettings, RollingSettings


class DecodeSettings(Settings):
    """How recordings are read."""

    threads: int = Field(1, ge=1, le=64)
    """CPU threads of each decoder."""
    loop: int = Field(1, ge=1, le=1_000_000)
    """Number of times that each recording is read from beginning to end."""


class SourceSettings(Settings):
    """What is taken of recordings that hold more than one video."""

    track: TrackSetting = "auto"
    """Number of the video track, from 0; auto takes the one that players show, and the report names
    the others; all makes a stream of each."""


class ImageSettings(Settings):
    """How image files are read."""

    pages: PagesName = "first"
    """first takes the first image of a file (of a TIFF's pages, an animation's frames) and counts
    the others as left out; all takes each as a frame."""


class ModelSettings(Settings):
    """The network, and what runs it."""

    weights: str = DEFAULT
    """A checkpoint file, the name of shipped weights, or "random"."""
    runtime: RuntimeName = "auto"
    """auto takes OpenVINO on a CPU and PyTorch on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Precision = "auto"
    """auto takes the fastest that the checkpoint was measured to stand, and otherwise fp32."""
    threads: int = Field(DEFAULT_THREADS, ge=1, le=256)
    """CPU threads of each replica. They fix the last bits of the masks, so they are never derived
    from the machine. 1 is fastest with a replica for each core; more shorten the latency."""


class PipelineSettings(Settings):
    """How the stages are spread over processes. The masks do not depend on it."""

    replicas: int | None = Field(None, ge=1, le=256)
    """Processes that run the network; by default cores divided by `model.threads`, at most 8."""
    preprocess_workers: int = Field(1, ge=1, le=64)
    """Processes that prepare images."""
    window: int | None = Field(None, ge=2, le=1024)
    """Most frames of a stream in flight, which bounds memory; by default 4 + 3 per replica."""
    max_streams: int = Field(4, ge=1, le=256)
    """Most recordings that are processed at a time; live sources do not wait for one another."""
    transport: Literal["shm", "ipc", "tcp"] = "shm"
    """shm puts pixels into shared memory; ipc and tcp into messages, over Unix or TCP sockets."""
    policy: PolicyName = "auto"
    """every_frame lets each frame wait for its turn; freshest takes the newest and drops older ones
    that no worker has begun; auto is freshest for live sources only."""
    memory_mb: int | None = Field(None, ge=1)
    """Most memory in MB for frames in flight and for the network's inputs; by default 70 % of what
    machine and container have available at the start."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"memory_mb"})


class SupervisionSettings(Settings):
    """When a worker process counts as lost, and what then."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"restarts_per_minute": renamed("max_restarts")}

    start_timeout_s: float = Field(120, gt=0, le=3600)
    """Longest time in seconds from its start, imports and model included, until it is ready; and
    for preparing the network for one size of frames."""
    beat_timeout_s: float = Field(1.5, ge=0.5, le=600)
    """Longest time in seconds without a heartbeat."""
    frame_timeout_s: float = Field(60, ge=0.5, le=3600)
    """Longest time in seconds at one frame."""
    max_restarts: int = Field(5, ge=0, le=10_000)
    """Most restarts of one worker in a row with nothing gained in between; at the next loss its
    stream ends, or the run if all streams share it, but a live stream is tried again for ever."""
    stop_timeout_s: float = Field(2.5, ge=0, le=600)
    """Longest time in seconds for frames in flight to finish when the run is stopped."""


class OutputSettings(Settings):
    """The results that are written."""

    sinks: list[str] | None = None
    """Names of sinks; by default masks and overlay, and png for image folders."""
    resume: bool = False
    """Whether to continue an interrupted run, which must have had the same settings and weights."""
    overwrite: bool = False
    """Whether to replace what an earlier run wrote into the same folder."""
    rolling: RollingSettings = RollingSettings()
    """Settings of the sink `rolling`."""
    events: EventSettings = EventSettings()
    """Settings of the sink `events`."""
    publish: PublishSettings = PublishSettings()
    """Settings of the sink `publish`."""
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of sinks of other packages, by name of the sink."""

    @field_serializer("options", when_used="json")
    def _without_secrets(self, options: dict[str, dict[str, Any]]) -> Any:
        return hide_secrets(options)


class ViewSettings(Settings):
    """The live view in a browser, and metrics for monitoring."""

    show: bool = False
    """Whether the live view is served."""
    address: str = "127.0.0.1:8787"
    """HOST:PORT of the live view."""
    metrics_address: str | None = None
    """HOST:PORT of /metrics, /status, /healthz and /readyz alone; the live view has them too."""
    token: SecretStr | None = None
    """Access token; required where other machines can reach the address."""
    frames_per_second: float = Field(10, gt=0, le=30)
    """Most frames per second of each stream that are shown."""
    max_side: int = Field(1280, ge=64, le=8192)
    """Longest side in pixels; larger frames are shrunk before they are shown."""


class RunConfig(Settings):
    """All settings of `icstream run`."""

    ADDED = frozenset({"images", "source"})

    source: SourceSettings = SourceSettings()
    """What is taken of recordings that hold more than one video."""
    decode: DecodeSettings = DecodeSettings()
    """How recordings are read."""
    images: ImageSettings = ImageSettings()
    """How image files are read."""
    fit: FitSettings = FitSettings()
    """How images are fitted to the network."""
    model: ModelSettings = ModelSettings()
    """The network, and what runs it."""
    pipeline: PipelineSettings = PipelineSettings()
    """Worker processes and what is between them."""
    supervision: SupervisionSettings = SupervisionSettings()
    """Deadlines of worker processes."""
    output: OutputSettings = OutputSettings()
    """The results that are written."""
    view: ViewSettings = ViewSettings()
    """The live view and metrics."""
    live: LiveSettings = LiveSettings()
    """Cameras and network streams."""
    streams: tuple[StreamSettings, ...] = ()
    """Sources with settings of their own; they come before those that are given as arguments."""


def load_config(
    file: str | None, assignments: Iterable[str], options: Mapping[str, Any]
) -> RunConfig:
    """Return the configuration; later sources win.

    Args:
        file: a YAML or JSON file, the name of a preset, or None.
        assignments: "section.key=value" texts, values read as YAML.
        options: dotted keys of command-line options; those that are None were not given.

    Raises:
        ConfigError: some settings cannot be used; each has a clause with its path.
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
