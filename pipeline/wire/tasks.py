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
    """What a preprocess worker is made from."""

    fit: Fit
    mean_color: Color


class DecodeTask(msgspec.Struct, frozen=True):
    """What a decode worker is made from."""

    spec: SourceSpec
    threads: int
    num_loops: int
    preprocess: PreprocessTask
    """Of its frames, for those that are prepared where they lie."""
    live: LivePlan | None
    """Of a live source."""
    num_classes: int = 0
    """Of the network, for whose scores there must be room."""


class SegmentTask(msgspec.Struct, frozen=True):
    """What a segment worker is made from."""

    weights: str
    choice: RuntimeChoice
    fit: Fit


class EncodeTask(msgspec.Struct, frozen=True):
    """What an encode worker is made from."""

    folder: Path
    labels: LabelSet
    source: Path | None
    sinks: list[str]
    num_done: int | None
    """Frames that are in the files already; None after an earlier run, when the sinks know."""
    settings: dict[str, dict[str, Any]] = {}
    """Settings of sinks of other packages, by name."""
    rolling: RollingSettings = RollingSettings()
    """Settings of the sink `rolling`."""
    events: EventSettings = EventSettings()
    """Settings of the sink `events`."""
    publish: PublishSettings = PublishSettings()
    """Settings of the sink `publish`."""
    masks: str = ""
    """Endpoint at which the publish worker takes masks."""
    view: str | None = None
    """Endpoint to which images are offered; None if there is no view."""
    max_side: int = 0
    """Larger images are shrunk for the view."""


class InheritedSocket(msgspec.Struct, frozen=True):
    """A socket that listens already, and that a process inherits."""

    fd: int
    loopback: bool
    """Only this machine can reach it."""


class ViewTask(msgspec.Struct, frozen=True):
    """What the view's process is made from."""

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
    """What the publish worker is made from."""

    settings: PublishSettings
    masks: str
    """Endpoint for the encode workers."""


Task = TypeVar("Task")


def task_to_json(task: msgspec.Struct) -> bytes:
    """Return a task as JSON, in ASCII: names of files may hold bytes that are not UTF-8."""
    return json.dumps(msgspec.to_builtins(task, enc_hook=encode_hook)).encode("ascii")


def task_from_json(kind: type[Task], text: bytes) -> Task:
    """Return the task that `task_to_json` wrote."""
    return msgspec.convert(json.loads(text), kind, dec_hook=decode_hook)
