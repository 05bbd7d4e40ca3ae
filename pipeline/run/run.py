"""Runs, from the sources to the sinks."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from icstream.model.memory import MemoryBudget
from icstream.pipeline.hub.hub import Hub, HubSettings
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.network_sizes import NetworkSizes
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import Deadlines, Supervisor
from icstream.pipeline.plan.inference import Inference
from icstream.pipeline.run.launcher import Launcher
from icstream.pipeline.run.prepare import PreparedRun, prepare_run
from icstream.pipeline.run.result import RunResult, explain_empty_streams
from icstream.pipeline.run.runtime_dir import RuntimeDir
from icstream.pipeline.settings.run import RunConfig
from icstream.pipeline.wire.slot_size import SlotSize

log = logging.getLogger(__name__)

OnFrame = Callable[[StreamState, Lease], None]
"""Callback for each finished frame."""


class RunDisplay(Protocol):
    """A display of the progress of a run."""

    def update(self, streams: Sequence[StreamState]) -> None:
        """Show the streams that have begun; called several times per second."""
        ...


def ignore_frame(_stream: StreamState, _lease: Lease) -> None:
    """Do nothing; the default callback for finished frames."""


def run_pipeline(
    config: RunConfig,
    arguments: Sequence[str],
    folder: Path,
    *,
    progress: RunDisplay,
    should_stop: Callable[[], bool],
    on_frame: OnFrame = ignore_frame,
) -> RunResult:
    """Segment every source that the arguments name, and write the results into `folder`.

    If the results cannot be written any more, the run ends, and its result contains the reason.

    Args:
        config: all settings.
        arguments: the sources, as on the command line.
        folder: the folder for the results.
        progress: a display that is updated several times per second.
        should_stop: a function called several times per second; the run ends in order once it
            returns True.
        on_frame: a callback for each finished frame.

    Raises:
        ConfigError: settings, sources or folder are invalid; nothing has been written.
    """
    with prepare_run(config, arguments, folder) as prepared:
        return launch(prepared, progress=progress, should_stop=should_stop, on_frame=on_frame)


def launch(
    prepared: PreparedRun,
    *,
    progress: RunDisplay,
    should_stop: Callable[[], bool],
    on_frame: OnFrame = ignore_frame,
) -> RunResult:
    """Start the workers of a prepared run, run it to its end, and return its result.

    Args:
        prepared: the run, with its context entered.
        progress: a display that is updated several times per second.
        should_stop: a function called several times per second; the run ends in order once it
            returns True.
        on_frame: a callback for each finished frame.
    """
    config, inference = prepared.config, prepared.inference
    view = prepared.view_launcher
    with RuntimeDir(config.pipeline.transport) as runtime_dir:
        view.open(runtime_dir.folder, inference)
        launcher = Launcher(prepared, runtime_dir)
        streams = [launcher.make_stream(plan) for plan in prepared.stream_plans]
        supervisor = _make_supervisor(config, runtime_dir)

        def on_tick() -> None:
            begun = [stream for stream in streams if stream.started_s is not None]
            progress.update(begun)
            view.publish_status(begun, supervisor)

        budget = MemoryBudget.settle(config.pipeline.memory_mb)
        slot_size = SlotSize(inference.fit, len(inference.labels))
        hub = Hub(
            _hub_settings(config, inference),
            socket=runtime_dir.socket,
            supervisor=supervisor,
            slots=SlotPool(runtime_dir.arena, size=slot_size, budget=budget),
            sizes=NetworkSizes(inference.fit, budget, on_cpu=inference.choice.device == "cpu"),
            start_preprocess=launcher.start_preprocess,
            start_segment=launcher.start_segment,
            start_others=launcher.start_others(prepared.sinks),
            on_frame=on_frame,
            on_tick=on_tick,
        )
        try:
            hub.run(streams, should_stop=should_stop)
            view.publish_status(streams, supervisor, over=True)
        finally:
            hub.end()
    explain_empty_streams(streams, stopped=should_stop())
    return RunResult(
        config,
        inference,
        streams,
        runtime_dir.transport,
        supervisor.num_lost,
        hub.error,
        prepared.left_out,
    )


def _make_supervisor(config: RunConfig, runtime_dir: RuntimeDir) -> Supervisor:
    settings = config.supervision
    deadlines = Deadlines(
        start_s=settings.start_timeout_s,
        heartbeat_s=settings.beat_timeout_s,
        frame_s=settings.frame_timeout_s,
    )
    return Supervisor(runtime_dir.processes, deadlines)


def _hub_settings(config: RunConfig, inference: Inference) -> HubSettings:
    return HubSettings(
        window=config.pipeline.window or 4 + 3 * inference.replicas,
        max_streams=config.pipeline.max_streams,
        max_restarts=config.supervision.max_restarts,
        stop_s=config.supervision.stop_timeout_s,
        replicas=inference.replicas,
        preprocess_workers=config.pipeline.preprocess_workers,
    )
