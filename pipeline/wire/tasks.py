"""Start-up configuration of each kind of worker."""

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from icstream.model import Fit, LabelSet
from icstream.model.labels import Color
from icstream.model.runtimes import RuntimeChoice
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.settings.publish import PublishSettings
from icstream.pipeline.wire.codec import decode_hook, encode_hook
from icstream.stages.decode.find import SourceSpec
from icstream.stages.sinks import EventSettings, RollingSettings


class PreprocessTask(msgspec.Struct, frozen=True):
    """The configuration of a preprocess worker."""

    fit: Fit
    mean_color: Color


class DecodeTask(msgspec.Struct, frozen=True):
    """The configuration of a decode worker."""

    spec: SourceSpec
    threads: int
    num_loops: int
    preprocess: PreprocessTask
    """Preprocessing of frames that are prepared in place."""
    live: LivePlan | None
    """Settings of a live source; None for others."""
    num_classes: int = 0
    """Number of classes of the network, which determines the memory for scores."""


class SegmentTask(msgspec.Struct, frozen=True):
    """The configuration of a segment worker."""

    weights: str
    choice: RuntimeChoice
    fit: Fit
    digest: str
    """Digest of the weights when the run began, as files may be overwritten."""
    weights_fd: int | None = None
    """Descriptor of the file when the run began, which stays when another takes its place."""


class EncodeTask(msgspec.Struct, frozen=True):
    """The configuration of an encode worker."""

    folder: Path
    labels: LabelSet
    source: Path | None
    sinks: list[str]
    num_done: int | None
    """Number of frames that are in the files already; None if the sinks have to detect it."""
    settings: dict[str, dict[str, Any]] = {}
    """Settings of sinks from other packages, by name."""
    rolling: RollingSettings = RollingSettings()
    """Settings of the sink `rolling`."""
    events: EventSettings = EventSettings()
    """Settings of the sink `events`."""
    publish: PublishSettings = PublishSettings()
    """Settings of the sink `publish`."""
    masks: str = ""
    """Endpoint at which the publish worker receives masks."""
    view: str | None = None
    """Endpoint to which images are offered; None without a view."""
    max_side: int = 0
    """Longest side of images for the view, in pixels; larger ones are shrunk."""


class InheritedSocket(msgspec.Struct, frozen=True):
    """A listening socket that a process inherits."""

    fd: int
    loopback: bool
    """Whether only this machine can reach it."""


class ViewTask(msgspec.Struct, frozen=True):
    """The configuration of the view's process."""

    page: InheritedSocket | None
    metrics: InheritedSocket | None
    token: str | None
    """Access token of the page and the metrics."""
    status: str
    """Endpoint at which the hub publishes the state of the run."""
    frames: str
    """Endpoint for the encode workers."""
    rate: float
    """Most frames per second of each stream."""


class PublishTask(msgspec.Struct, frozen=True):
    """The configuration of the publish worker."""

    settings: PublishSettings
    masks: str
    """Endpoint for the encode workers."""


Task = TypeVar("Task")


def task_to_json(task: msgspec.Struct) -> bytes:
    """Return a task as ASCII JSON, because file names may contain bytes that are not UTF-8."""
    return json.dumps(msgspec.to_builtins(task, enc_hook=encode_hook)).encode("ascii")


def task_from_json(kind: type[Task], text: bytes) -> Task:
    """Return the task that `task_to_json` wrote."""
    return msgspec.convert(json.loads(text), kind, dec_hook=decode_hook)
