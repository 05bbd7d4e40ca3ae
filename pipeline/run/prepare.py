"""What is settled before the first worker of a run starts: plans, checks, folder and manifest."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icstream.model import ConfigError
from icstream.pipeline.output import REPORT, begin_manifest, check_output_folder, prepare_output
from icstream.pipeline.plan.inference import Inference, num_cores, plan_inference
from icstream.pipeline.plan.streams import StreamPlan, plan_streams
from icstream.pipeline.publish.check import check_publish
from icstream.pipeline.publish.sink import publish_sink
from icstream.pipeline.settings.old_keys import report_settings
from icstream.pipeline.settings.run import OutputSettings, RunConfig
from icstream.pipeline.view.launcher import ViewLauncher
from icstream.stages.decode.find import SourceSpec
from icstream.stages.sinks import SinkContext, open_sink

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that can be launched: everything that a user may have got wrong has been checked."""

    config: RunConfig
    folder: Path
    """Holds the manifest already."""
    stream_plans: list[StreamPlan]
    inference: Inference
    view_launcher: ViewLauncher
    """Listens already; `launch` closes it."""

    @property
    def sinks(self) -> dict[str, list[str]]:
        """The names of the sinks of each stream, by its name."""
        return sinks_by_stream(self.stream_plans)


def prepare_run(config: RunConfig, arguments: Sequence[str], folder: Path) -> PreparedRun:
    """Return a run that is ready to be launched.

    Args:
        config: all settings.
        arguments: sources, as a user names them.
        folder: for the results.

    Raises:
        ConfigError: something is wrong with the settings, the sources or the folder; nothing was
            written then.
    """
    plans = plan_streams(config, arguments)
    sinks = sinks_by_stream(plans)
    overwrite, resume = config.output.overwrite, config.output.resume
    check_output_folder(folder, overwrite=overwrite, resume=resume)
    if resume:
        _check_resumable(plans)
    inference = plan_inference(config)
    _check_sinks(config, plans, inference, folder)
    with ExitStack() as stack:
        view_launcher = stack.enter_context(ViewLauncher(config.view))
        prepare_output(folder, list(sinks), overwrite=overwrite, resume=resume)
        specs = [plan.spec for plan in plans]
        begin_manifest(folder, _manifest(config, inference, specs, sinks), resume=resume)
        (folder / REPORT).unlink(missing_ok=True)
        stack.pop_all()  # it stays open until the run is over
    _log_inference(inference)
    return PreparedRun(config, folder, plans, inference, view_launcher)


def sinks_by_stream(plans: Sequence[StreamPlan]) -> dict[str, list[str]]:
    """Return the names of the sinks of each stream, by its name."""
    return {plan.spec.name: plan.sinks for plan in plans}


def sink_context(
    folder: Path, spec: SourceSpec, inference: Inference, output: OutputSettings, *, sink: str = ""
) -> SinkContext:
    """Return what a sink of a stream is made from; `sink` is its name."""
    return SinkContext(
        folder=folder / spec.name,
        labels=inference.labels,
        source=spec.paths[0] if spec.kind == "video" else None,
        settings=output.options.get(sink, {}),
        rolling=output.rolling,
        events=output.events,
    )


def _check_resumable(plans: Sequence[StreamPlan]) -> None:
    if any(plan.live.freshest or plan.spec.kind == "live" for plan in plans):
        raise ConfigError(
            "--resume: with live sources or the policy freshest no run is like another;"
            " start a new one"
        )


def _check_sinks(
    config: RunConfig, plans: Sequence[StreamPlan], inference: Inference, folder: Path
) -> None:
    """Make each sink once, so that settings which it refuses are an error now."""
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
        "%s on %s in %s; replicas: %d, threads of each: %d",
        choice.runtime,
        choice.device,
        choice.precision,
        replicas,
        choice.threads,
    )
    cores = num_cores()
    if choice.device == "cpu" and replicas * choice.threads > cores:
        log.warning(
            "%d replicas of %d threads are more than the %d cores here can serve",
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
    """Return what must be the same for two runs to give the same bytes."""
    return {
        "weights": inference.digest,
        "inference": asdict(inference.choice),
        "fit": asdict(inference.fit),
        "loop": config.decode.loop,
        "sources": {
            spec.name: [spec.given, sum(path.stat().st_size for path in spec.paths)]
            for spec in specs
        },
        "sinks": sinks,
        **_sink_settings(config, sinks),
    }


def _sink_settings(config: RunConfig, sinks: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the settings that decide what the sinks of a run write; empty if they have none."""
    chosen = {sink for names in sinks.values() for sink in names if sink != "publish"}
    output = report_settings(config.output, by_alias=True)
    every = {**config.output.options, **{sink: output[sink] for sink in ("rolling", "events")}}
    settings = {sink: every[sink] for sink in sorted(chosen) if every.get(sink)}
    return {"sink_settings": settings} if settings else {}
