"""The settings of a run: defaults, then YAML, `--set` and options, in order of precedence."""

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
    """Decoding of recordings."""

    threads: int = Field(1, ge=1, le=64)
    """CPU threads per decoder."""
    loop: int = Field(1, ge=1, le=1_000_000)
    """Number of times that each recording is read from beginning to end."""


class SourceSettings(Settings):
    """Selection of video tracks in recordings that have several."""

    track: TrackSetting = "auto"
    """Number of the video track, from 0; auto selects the track that players show, and the report
    names the others; all makes a stream of each."""


class ImageSettings(Settings):
    """Reading of image files."""

    pages: PagesName = "first"
    """Images read from a file that holds several, such as TIFF pages and frames of animations:
    first skips the others and counts them as left out; all makes a frame of each."""


class ModelSettings(Settings):
    """The network and its inference backend."""

    weights: str = DEFAULT
    """Checkpoint file, name of shipped weights, or "random"."""
    runtime: RuntimeName = "auto"
    """Inference runtime; auto is OpenVINO on a CPU and PyTorch on a GPU."""
    device: str = "auto"
    """Inference device: auto, cpu, cuda or cuda:N."""
    precision: Precision = "auto"
    """Inference precision; auto is the fastest whose agreement with fp32 was measured for the
    checkpoint and found sufficient, otherwise fp32."""
    threads: int = Field(DEFAULT_THREADS, ge=1, le=256)
    """CPU threads per replica, which are never derived from the machine because they affect the
    last bits of the masks; 1 with one replica per core is fastest, more reduce the latency."""


class PipelineSettings(Settings):
    """Distribution of the stages over processes, which does not affect the masks."""

    replicas: int | None = Field(None, ge=1, le=256)
    """Number of processes that run the network; by default the number of cores divided by
    `model.threads`, at most 8."""
    preprocess_workers: int = Field(1, ge=1, le=64)
    """Number of processes that prepare images."""
    window: int | None = Field(None, ge=2, le=1024)
    """Most frames of a stream in flight, which bounds the memory; by default 4 + 3 per replica."""
    max_streams: int = Field(4, ge=1, le=256)
    """Most recordings that are processed at the same time; live sources do not count."""
    transport: Literal["shm", "ipc", "tcp"] = "shm"
    """Transport of pixels: shm uses shared memory; ipc and tcp send them in messages, over Unix or
    TCP sockets."""
    policy: PolicyName = "auto"
    """Frame policy: every_frame processes all frames in order; freshest processes the newest and
    drops older frames that no worker has started; auto is freshest for live sources only."""
    memory_mb: int | None = Field(None, ge=1)
    """Most memory in MB for frames in flight and network inputs; by default 70 % of what machine
    and container have available at the start."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"memory_mb"})


class SupervisionSettings(Settings):
    """Detection and restart of lost worker processes."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"restarts_per_minute": renamed("max_restarts")}

    start_timeout_s: float = Field(120, gt=0, le=3600)
    """Longest time in seconds for a worker to start, including imports and loading the model, and
    for preparing the network for one size of frames."""
    beat_timeout_s: float = Field(1.5, ge=0.5, le=600)
    """Longest time in seconds without a heartbeat."""
    frame_timeout_s: float = Field(60, ge=0.5, le=3600)
    """Longest time in seconds for one frame."""
    max_restarts: int = Field(5, ge=0, le=10_000)
    """Most restarts of one worker in a row without progress; the next loss ends its stream, or the
    run if all streams share the worker, except that live streams are restarted without limit."""
    stop_timeout_s: float = Field(2.5, ge=0, le=600)
    """Longest time in seconds for frames in flight to finish when the run is stopped."""


class OutputSettings(Settings):
    """The results to write."""

    sinks: list[str] | None = None
    """Names of sinks; by default masks and overlay, and png for image folders."""
    resume: bool = False
    """Whether to continue an interrupted run, which must have had the same settings and weights."""
    overwrite: bool = False
    """Whether to replace the results of an earlier run in the same folder."""
    rolling: RollingSettings = RollingSettings()
    """Settings of the sink `rolling`."""
    events: EventSettings = EventSettings()
    """Settings of the sink `events`."""
    publish: PublishSettings = PublishSettings()
    """Settings of the sink `publish`."""
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of sinks from other packages, by name of the sink."""

    @field_serializer("options", when_used="json")
    def _without_secrets(self, options: dict[str, dict[str, Any]]) -> Any:
        return hide_secrets(options)


class ViewSettings(Settings):
    """The live view in a browser, and metrics for monitoring."""

    show: bool = False
    """Whether to serve the live view."""
    address: str = "127.0.0.1:8787"
    """HOST:PORT of the live view."""
    metrics_address: str | None = None
    """HOST:PORT for /metrics, /status, /healthz and /readyz without the live view, which also
    serves them."""
    token: SecretStr | None = None
    """Access token; required if other machines can reach the address."""
    frames_per_second: float = Field(10, gt=0, le=30)
    """Most frames per second of each stream that are shown."""
    max_side: int = Field(1280, ge=64, le=8192)
    """Longest side in pixels of shown frames; larger frames are shrunk."""


class RunConfig(Settings):
    """All settings of `icstream run`."""

    ADDED = frozenset({"images", "source"})

    source: SourceSettings = SourceSettings()
    """Selection of video tracks."""
    decode: DecodeSettings = DecodeSettings()
    """Decoding of recordings."""
    images: ImageSettings = ImageSettings()
    """Reading of image files."""
    fit: FitSettings = FitSettings()
    """Fitting of images to the network."""
    model: ModelSettings = ModelSettings()
    """The network and its inference backend."""
    pipeline: PipelineSettings = PipelineSettings()
    """Worker processes, queues and transport."""
    supervision: SupervisionSettings = SupervisionSettings()
    """Timeouts and restarts of worker processes."""
    output: OutputSettings = OutputSettings()
    """The results to write."""
    view: ViewSettings = ViewSettings()
    """The live view and metrics."""
    live: LiveSettings = LiveSettings()
    """Cameras and network streams."""
    streams: tuple[StreamSettings, ...] = ()
    """Sources with settings of their own, which precede the sources given as arguments."""


def load_config(
    file: str | None, assignments: Iterable[str], options: Mapping[str, Any]
) -> RunConfig:
    """Return the configuration; later sources take precedence.

    Args:
        file: a YAML or JSON file, the name of a preset, or None.
        assignments: "section.key=value" texts with values in YAML.
        options: values of command-line options by dotted key; None means not given.

    Raises:
        ConfigError: some settings are invalid; the error has a clause with the path of each.
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
