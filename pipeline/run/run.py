"""A run: every source from its decoder to its sinks, and the books at the end."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from icstream.model import ConfigError
from icstream.pipeline.hub.hub import Hub, HubSettings
from icstream.pipeline.hub.lease_table import Lease
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import Deadlines, Supervisor
from icstream.pipeline.output import REPORT, begin_manifest, check_output, prepare_output
from icstream.pipeline.plan.inference import Inference, num_cores, plan_inference
from icstream.pipeline.plan.streams import plan_streams
from icstream.pipeline.publish.check import check_publish
from icstream.pipeline.publish.sink import SINKS
from icstream.pipeline.run.launcher import Launcher, sink_context
from icstream.pipeline.run.runtime_dir import RuntimeDir
from icstream.pipeline.settings.run import RunConfig
from icstream.pipeline.view.launcher import ViewLauncher
from icstream.stages.decode.find import SourceSpec
from icstream.stages.sinks import open_sink

log = logging.getLogger(__name__)


class RunDisplay(Protocol):
    """Is told how far a run has come."""

    def update(self, streams: Sequence[StreamState]) -> None:
        """Called several times a second with the streams that have begun."""
        ...


@dataclass(slots=True)
class RunResult:
    """What became of a run."""

    config: RunConfig
    inference: Inference
    streams: list[StreamState]
    transport: str
    num_restarts: int = 0
    """Workers that were replaced."""
    error: str | None = None
    """Why the run was given up."""

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed or the books do not close, 2 no frame at all, 3 done with losses."""
        failed = any(
            stream.unwritable or stream.broken or stream.faults() for stream in self.streams
        )
        if failed or self.error:
            return 1
        if not any(stream.accounting.decoded for stream in self.streams):
            return 2
        if any(stream.error or not stream.accounting.complete for stream in self.streams):
            return 3
        return 0


def run(
    config: RunConfig,
    arguments: Sequence[str],
    folder: Path,
    *,
    progress: RunDisplay,
    should_stop: Callable[[], bool],
    on_frame: Callable[[StreamState, Lease], None] = lambda _stream, _lease: None,
) -> RunResult:
    """Segments every source that the arguments name and writes the results into `folder`.

    If the results cannot be written any more, the run ends there and says so in its result.

    Args:
        config: all settings.
        arguments: sources, as a user names them.
        folder: for the results.
        progress: is told several times a second.
        should_stop: asked several times a second; the run ends in order once it is true.
        on_frame: called with each frame that is finished.

    Raises:
        ConfigError: something is wrong with the settings, the sources or the folder; nothing was
            written then.
    """
    stream_plans = plan_streams(config, arguments)
    specs = [stream_plan.spec for stream_plan in stream_plans]
    sinks = {stream_plan.spec.name: stream_plan.sinks for stream_plan in stream_plans}
    overwrite, resume = config.output.overwrite, config.output.resume
    check_output(folder, overwrite=overwrite, resume=resume)
    if resume and any(i.plan.pace.freshest or i.spec.kind == "live" for i in stream_plans):
        raise ConfigError(
            "--resume: with live sources or the policy freshest no run is like another;"
            " start a new one"
        )
    inference = plan_inference(config)
    for spec in specs:
        for sink in sinks[spec.name]:
            context = sink_context(folder, spec, inference, config.output.of_sink(sink))
            open_sink(sink, context, extra_sinks=SINKS)
    if any("publish" in chosen for chosen in sinks.values()):
        check_publish(config.output.publish)
    view_launcher = ViewLauncher(config.view)
    prepare_output(folder, [spec.name for spec in specs], overwrite=overwrite, resume=resume)
    manifest = _manifest(config, inference, specs, sinks)
    begin_manifest(folder, manifest, resume=resume)
    (folder / REPORT).unlink(missing_ok=True)
    choice = inference.choice
    log.info(
        "%s on %s in %s; replicas: %d, threads of each: %d",
        choice.runtime,
        choice.device,
        choice.precision,
        inference.replicas,
        choice.threads,
    )
    cores = num_cores()
    if choice.device == "cpu" and inference.replicas * choice.threads > cores:
        log.warning(
            "%d replicas of %d threads are more than the %d cores here can serve",
            inference.replicas,
            choice.threads,
            cores,
        )
    with view_launcher, RuntimeDir(config.pipeline.transport) as runtime_dir:
        view_launcher.open(runtime_dir.folder, inference)
        tasks = Launcher(config, inference, folder, runtime_dir, view_launcher)
        streams = [tasks.stream(stream_plan) for stream_plan in stream_plans]
        supervisor = Supervisor(
            runtime_dir.processes,
            Deadlines(
                config.supervision.start_timeout_s,
                config.supervision.beat_timeout_s,
                config.supervision.frame_timeout_s,
            ),
            restarts_per_minute=config.supervision.restarts_per_minute,
        )

        def on_tick() -> None:
            begun = [stream for stream in streams if stream.started]
            progress.update(begun)
            view_launcher.tell(begun, supervisor)

        hub = Hub(
            HubSettings(
                window=config.pipeline.window or 4 + 3 * inference.replicas,
                max_streams=config.pipeline.max_streams,
                stop_s=config.supervision.stop_timeout_s,
                replicas=inference.replicas,
                preprocess_workers=config.pipeline.preprocess_workers,
            ),
            socket=runtime_dir.socket,
            supervisor=supervisor,
            slots=SlotPool(runtime_dir.arena, fit=inference.fit, num_classes=len(inference.labels)),
            start_preprocess=tasks.start_preprocess,
            start_segment=tasks.start_segment,
            start_others=tasks.start_others(sinks),
            on_frame=on_frame,
            on_tick=on_tick,
        )
        try:
            hub.run(streams, should_stop=should_stop)
            view_launcher.tell(streams, supervisor, over=True)
        finally:
            hub.end()
    for stream in streams:
        why = stream.source_status.last_error
        if not (stream.accounting.decoded or stream.error) and (why or not should_stop()):
            stream.error = why or f"{stream.spec.given}: no image in it could be decoded"
            log.error("%s", stream.error)
    return RunResult(
        config, inference, streams, runtime_dir.transport, supervisor.num_lost, hub.error
    )


def _manifest(
    config: RunConfig,
    inference: Inference,
    specs: Sequence[SourceSpec],
    sinks: dict[str, list[str]],
) -> dict[str, Any]:
    """Gives what must be the same for two runs to give the same bytes."""
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
    """Gives the settings that decide what the sinks of a run write; nothing if they have none."""
    chosen = {sink for names in sinks.values() for sink in names if sink != "publish"}
    settings = {sink: config.output.of_sink(sink) for sink in sorted(chosen)}
    settings = {sink: values for sink, values in settings.items() if values}
    return {"sink_settings": settings} if settings else {}
