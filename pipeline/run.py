"""A run: every source from its decoder to its sinks, and the books at the end."""

import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from icstream.model import ConfigError
from icstream.pipeline.arena import Arena
from icstream.pipeline.config import RunConfig
from icstream.pipeline.hub import Hub, HubSettings
from icstream.pipeline.inference import Inference, num_cores, plan_inference
from icstream.pipeline.ledger import Lease
from icstream.pipeline.link import HubSocket
from icstream.pipeline.output import REPORT, begin_manifest, check_output, prepare_output
from icstream.pipeline.processes import Processes, Worker
from icstream.pipeline.slots import SlotPool
from icstream.pipeline.stream import Stream
from icstream.pipeline.supervisor import Deadlines, Supervisor
from icstream.pipeline.wire import (
    DecodeTask,
    EncodeTask,
    PreprocessTask,
    SegmentTask,
    task_to_json,
)
from icstream.stages.sinks import SinkContext, open_sink
from icstream.stages.sources import SourceSpec, find_sources

log = logging.getLogger(__name__)

DEFAULT_SINKS = {
    "video": ["masks", "overlay"],
    "images": ["png"],
    "other": ["masks", "overlay"],
}
_MAX_SOCKET_PATH = 90
"""Paths of ipc sockets end at 107 bytes."""


class Progress(Protocol):
    """Is told how far a run has come."""

    def update(self, streams: Sequence[Stream]) -> None:
        """Called several times a second with the streams that have begun."""
        ...


@dataclass(slots=True)
class RunResult:
    """What became of a run."""

    config: RunConfig
    inference: Inference
    streams: list[Stream]
    transport: str
    num_restarts: int = 0
    """Workers that were replaced."""
    error: str | None = None
    """Why the run was given up."""

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed or the books do not close, 2 no picture at all, 3 done with losses."""
        failed = any(
            stream.unwritable or stream.broken or stream.faults() for stream in self.streams
        )
        if failed or self.error:
            return 1
        if not any(stream.books.decoded for stream in self.streams):
            return 2
        if any(stream.error or not stream.books.complete for stream in self.streams):
            return 3
        return 0


def run(
    config: RunConfig,
    arguments: Sequence[str],
    folder: Path,
    *,
    progress: Progress,
    should_stop: Callable[[], bool],
    on_frame: Callable[[Stream, Lease], None] = lambda _stream, _lease: None,
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
    specs = find_sources(arguments)
    sinks = {spec.name: config.output.sinks or DEFAULT_SINKS[spec.kind] for spec in specs}
    overwrite, resume = config.output.overwrite, config.output.resume
    check_output(folder, overwrite=overwrite, resume=resume)
    if resume and config.pipeline.policy == "freshest":
        raise ConfigError(
            "--resume: with --policy freshest no run is like another; start a new one"
        )
    inference = plan_inference(config)
    for spec in specs:
        for sink in sinks[spec.name]:
            open_sink(sink, _sink_context(folder, spec, inference))
    prepare_output(folder, [spec.name for spec in specs], overwrite=overwrite, resume=resume)
    manifest = _manifest(config, inference, specs, sinks)
    begin_manifest(folder, manifest, resume=resume)
    (folder / REPORT).unlink(missing_ok=True)
    cores = num_cores()
    if inference.choice.device == "cpu" and inference.replicas * inference.choice.threads > cores:
        log.warning(
            "%d replicas of %d threads are more than the %d cores here can serve",
            inference.replicas,
            inference.choice.threads,
            cores,
        )
    with _Site(config.pipeline.transport) as site:
        tasks = _Tasks(config, inference, folder, site.processes)
        streams = [tasks.stream(spec, sinks[spec.name]) for spec in specs]
        supervisor = Supervisor(
            site.processes,
            Deadlines(
                config.supervision.start_timeout_s,
                config.supervision.beat_timeout_s,
                config.supervision.frame_timeout_s,
            ),
            restarts_per_minute=config.supervision.restarts_per_minute,
        )
        hub = Hub(
            HubSettings(
                window=config.pipeline.window or 4 + 3 * inference.replicas,
                max_streams=config.pipeline.max_streams,
                freshest=config.pipeline.policy == "freshest",
                stop_s=config.supervision.stop_timeout_s,
                replicas=inference.replicas,
                preprocess_workers=config.pipeline.preprocess_workers,
            ),
            socket=site.socket,
            supervisor=supervisor,
            slots=SlotPool(site.arena, fit=inference.fit, num_classes=len(inference.labels)),
            start_preprocess=tasks.start_preprocess,
            start_segment=tasks.start_segment,
            on_frame=on_frame,
            on_tick=lambda: progress.update([s for s in streams if s.started]),
        )
        try:
            hub.run(streams, should_stop=should_stop)
        finally:
            hub.end()
    for stream in streams:
        if not (stream.books.decoded or stream.error or should_stop()):
            stream.error = f"{stream.spec.given}: no picture in it could be decoded"
            log.error("%s", stream.error)
    return RunResult(config, inference, streams, site.transport, supervisor.num_lost, hub.error)


class _Site:
    """Where the processes of a run meet: socket, shared memory, and the folder for both."""

    def __init__(self, transport: str) -> None:
        self.transport = _possible(transport)
        self._folder: str | None = None
        self.arena: Arena | None = None

    def __enter__(self) -> "_Site":
        _sweep()
        endpoint = "tcp://127.0.0.1:*"
        if self.transport != "tcp":
            parent = tempfile.gettempdir()
            if len(parent) > _MAX_SOCKET_PATH - 40:
                parent = "/tmp"
            self._folder = tempfile.mkdtemp(prefix=f"icstream-{os.getpid()}-", dir=parent)
            endpoint = f"ipc://{self._folder}/hub"
        if self.transport == "shm":
            self.arena = Arena()
        self.socket = HubSocket(endpoint)
        arena_fd = None if self.arena is None else self.arena.fd
        self.processes = Processes(self.socket.endpoint, arena_fd=arena_fd)
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        if self.arena is not None:
            self.arena.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _possible(transport: str) -> str:
    """Gives the transport, or the next best one that this system has, with one line."""
    possible = transport
    if possible == "shm" and not Arena.available():
        possible = "ipc"
    if possible == "ipc" and sys.platform == "win32":
        possible = "tcp"
    if possible != transport:
        log.warning("transport %s: not on this system; using %s", transport, possible)
    return possible


def _sweep() -> None:
    """Removes the folders of runs that were killed."""
    for path in Path(tempfile.gettempdir()).glob("icstream-*-*"):
        match = re.fullmatch(r"icstream-(\d+)-\w+", path.name)
        if match and not _is_running(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _sink_context(folder: Path, spec: SourceSpec, inference: Inference) -> SinkContext:
    recording = spec.paths[0] if spec.kind == "video" else None
    return SinkContext(folder / spec.name, inference.labels, recording)


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
    }


@dataclass(frozen=True, slots=True)
class _Tasks:
    """Starts the workers of a run, each with what its stage is made from."""

    config: RunConfig
    inference: Inference
    folder: Path
    processes: Processes

    def start_preprocess(self, number: int) -> Worker:
        """Starts a preprocess worker."""
        task = PreprocessTask(self.inference.fit, self.inference.mean_colour)
        return self.processes.start("preprocess", str(number), task_to_json(task), threads=1)

    def start_segment(self, number: int) -> Worker:
        """Starts a replica of the network."""
        choice = self.inference.choice
        task = SegmentTask(
            weights=self.inference.weights,
            runtime=choice.runtime,
            device=choice.device,
            precision=choice.precision,
            threads=choice.threads,
            fit=self.inference.fit,
        )
        text = task_to_json(task)
        return self.processes.start("segment", str(number), text, threads=choice.threads)

    def stream(self, spec: SourceSpec, sinks: list[str]) -> Stream:
        """Gives a stream that knows how to start its own workers."""
        settings = self.config.decode
        decode = task_to_json(DecodeTask(spec, settings.threads, settings.loop))

        def start_encode(num_done: int | None) -> Worker:
            context = _sink_context(self.folder, spec, self.inference)
            task = EncodeTask(context.folder, context.labels, context.source, sinks, num_done)
            return self.processes.start("encode", spec.name, task_to_json(task), threads=1)

        return Stream(
            spec,
            start_decode=lambda: self.processes.start("decode", spec.name, decode, threads=1),
            start_encode=start_encode,
            resumes=self.config.output.resume,
        )
