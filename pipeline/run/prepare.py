"""Preparation of a run before its first worker starts: plans, checks, folder and manifest."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from icstream.model import ConfigError
from icstream.model.files import reserved_space
from icstream.model.folder_lock import FolderLock
from icstream.model.pretrained import find_weights
from icstream.model.runtimes.arithmetic import describe_arithmetic
from icstream.pipeline.live.zmq_source import check_zmq_addresses
from icstream.pipeline.output import REPORT, begin_manifest
from icstream.pipeline.plan.inference import Inference, num_cores, plan_inference
from icstream.pipeline.plan.streams import LeftOutFiles, StreamPlan, plan_streams
from icstream.pipeline.publish.check import check_publish
from icstream.pipeline.publish.sink import publish_sink
from icstream.pipeline.run.open_files import allow_open_files
from icstream.pipeline.run.output_folder import (
    PreparedFolder,
    StreamOutput,
    check_output,
    prepare_output,
)
from icstream.pipeline.run.source_content import content_digest
from icstream.pipeline.settings.old_keys import report_settings
from icstream.pipeline.settings.run import OutputSettings, RunConfig
from icstream.pipeline.view.launcher import ViewLauncher
from icstream.stages.decode.find import SourceSpec
from icstream.stages.sinks import SinkContext, open_sink
from icstream.stages.sinks.registry import check_plugin_names

log = logging.getLogger(__name__)

_REPORT_BYTES = 256 * 1024
"""Disk space that suffices for the reports of most runs."""

_NUM_OTHERS = 2
"""Number of workers for the view and the publisher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A run that is ready to launch, with all user input checked."""

    config: RunConfig
    folder: Path
    """Output folder, which contains the manifest already."""
    stream_plans: list[StreamPlan]
    inference: Inference
    view_launcher: ViewLauncher
    """Launcher of the view, which is listening already."""
    folder_lock: FolderLock
    """Lock on the folder, which encode workers inherit."""
    weights_fd: int | None
    """Descriptor of the file of weights, which segment workers inherit; None without a file."""
    _held: ExitStack
    left_out: list[LeftOutFiles]
    """Files in source folders that belong to no stream."""

    @property
    def sinks(self) -> dict[str, list[str]]:
        """The names of the sinks of each stream, by stream name."""
        return sinks_by_stream(self.stream_plans)

    def space_for_report(self) -> AbstractContextManager[None]:
        """Return a context that reserves disk space for the report."""
        return reserved_space(self.folder, _REPORT_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()


def prepare_run(
    config: RunConfig,
    arguments: Sequence[str],
    folder: Path,
    *,
    prepared: PreparedFolder | None = None,
) -> PreparedRun:
    """Return a run that is ready to launch, as a context in which its folder is locked.

    Args:
        config: all settings.
        arguments: the sources, as on the command line.
        folder: the folder for the results.
        prepared: the folder, if the caller has prepared it and will close its lock.

    Raises:
        ConfigError: settings, sources or folder are invalid; nothing has been written.
    """
    planned = plan_streams(config, arguments)
    plans = planned.plans
    sinks = sinks_by_stream(plans)
    overwrite, resume = config.output.overwrite, config.output.resume
    outputs = [StreamOutput(plan.spec.name, plan.sinks, plan.spec.paths) for plan in plans]
    if prepared is None:
        check_output(folder, outputs, overwrite=overwrite, resume=resume)
    if resume:
        _check_resumable(plans)
    check_zmq_addresses([plan.spec.address for plan in plans if plan.spec.kind == "live"])
    inference = plan_inference(config)
    allow_open_files(_num_workers(config, plans, inference))
    _check_sinks(config, plans, inference, folder)
    with ExitStack() as stack:
        view_launcher = stack.enter_context(ViewLauncher(config.view))
        weights_fd = _open_weights(inference.weights, stack)
        if prepared is None:
            prepared = prepare_output(folder, outputs, overwrite=overwrite, resume=resume)
            stack.enter_context(prepared.lock)
        specs = [plan.spec for plan in plans]
        manifest = {**_manifest(config, inference, specs, sinks), **prepared.kept}
        begin_manifest(folder, manifest, resume=resume)
        (folder / REPORT).unlink(missing_ok=True)
        held = stack.pop_all()  # until the run has ended
    _log_inference(inference)
    return PreparedRun(
        config=config,
        folder=folder,
        stream_plans=plans,
        inference=inference,
        view_launcher=view_launcher,
        folder_lock=prepared.lock,
        weights_fd=weights_fd,
        left_out=planned.left_out,
        _held=held,
    )


def _open_weights(name_or_path: str, stack: ExitStack) -> int | None:
    """Open the file of weights, so that a worker can read it though another takes its place."""
    path = find_weights(name_or_path)
    if path is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"weights {path}: {error.strerror}") from error
    stack.callback(os.close, descriptor)
    return descriptor


def sinks_by_stream(plans: Sequence[StreamPlan]) -> dict[str, list[str]]:
    """Return the names of the sinks of each stream, by stream name."""
    return {plan.spec.name: plan.sinks for plan in plans}


def sink_context(
    folder: Path, spec: SourceSpec, inference: Inference, output: OutputSettings, *, sink: str = ""
) -> SinkContext:
    """Return the context from which a stream's sink is created; `sink` is its name."""
    return SinkContext(
        folder=folder / spec.name,
        labels=inference.labels,
        source=spec.paths[0] if spec.kind == "video" else None,
        settings=output.options.get(sink, {}),
        rolling=output.rolling,
        events=output.events,
    )


def _num_workers(config: RunConfig, plans: Sequence[StreamPlan], inference: Inference) -> int:
    """Return the largest number of worker processes at a time."""
    num_live = sum(plan.spec.kind == "live" for plan in plans)
    num_recordings = min(len(plans) - num_live, config.pipeline.max_streams)
    shared = inference.replicas + config.pipeline.preprocess_workers
    return 2 * (num_live + num_recordings) + shared + _NUM_OTHERS


def _check_resumable(plans: Sequence[StreamPlan]) -> None:
    if any(plan.live.freshest or plan.spec.kind == "live" for plan in plans):
        raise ConfigError(
            "--resume: not possible with live sources or the policy freshest; start a new run"
        )


def _check_sinks(
    config: RunConfig, plans: Sequence[StreamPlan], inference: Inference, folder: Path
) -> None:
    """Create each sink once, so that settings it rejects are reported now."""
    check_plugin_names(config.output.options, key="output.options")
    extra_sinks = publish_sink(config.output.publish, endpoint="")
    for plan in plans:
        for sink in plan.sinks:
            context = sink_context(folder, plan.spec, inference, config.output, sink=sink)
            open_sink(sink, context, extra_sinks=extra_sinks)
    if any("publish" in plan.sinks for plan in plans):
        check_publish(config.output.publish)


def _log_inference(inference: Inference) -> None:
    choice, replicas = inference.choice, inference.replicas
    log.info(
        "%s on %s in %s; replicas: %d, threads per replica: %d",
        choice.runtime,
        choice.device,
        choice.precision,
        replicas,
        choice.threads,
    )
    cores = num_cores()
    if choice.device == "cpu" and replicas * choice.threads > cores:
        log.warning(
            "%d replicas with %d threads each exceed the %d available cores",
            replicas,
            choice.threads,
            cores,
        )


def _manifest(
    config: RunConfig,
    inference: Inference,
    specs: Sequence[SourceSpec],
    sinks: Mapping[str, list[str]],
) -> dict[str, Any]:
    """Return everything that two runs must share to produce the same bytes."""
    return {
        "weights": inference.digest,
        "inference": asdict(inference.choice),
        **describe_arithmetic(inference.choice),
        "fit": asdict(inference.fit),
        "loop": config.decode.loop,
        "sources": {
            spec.name: [
                spec.given,
                sum(path.stat().st_size for path in spec.paths),
                *(["all pages"] if spec.kind == "images" and spec.pages == "all" else ()),
            ]
            for spec in specs
        },
        "content": {spec.name: content_digest(spec.paths) for spec in specs if spec.paths},
        "sinks": sinks,
        **_sink_settings(config, sinks),
    }


def _sink_settings(config: RunConfig, sinks: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the settings that affect the files of the run's sinks; empty if there are none."""
    chosen = {sink for names in sinks.values() for sink in names if sink != "publish"}
    output = report_settings(config.output, by_alias=True)
    every = {**output["options"], **{sink: output[sink] for sink in ("rolling", "events")}}
    settings = {sink: every[sink] for sink in sorted(chosen) if every.get(sink)}
    return {"sink_settings": settings} if settings else {}
