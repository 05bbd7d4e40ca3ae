"""Starting of the workers of a run, each with its task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from icstream.pipeline.hub.processes import Processes
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.plan.streams import StreamPlan
from icstream.pipeline.run.prepare import PreparedRun, sink_context
from icstream.pipeline.run.runtime_dir import RuntimeDir
from icstream.pipeline.wire.tasks import (
    DecodeTask,
    EncodeTask,
    PreprocessTask,
    PublishTask,
    SegmentTask,
    task_to_json,
)


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts the workers of a run."""

    prepared: PreparedRun
    runtime_dir: RuntimeDir

    @property
    def processes(self) -> Processes:
        """The processes of the run, which start its workers."""
        return self.runtime_dir.processes

    def start_preprocess(self, number: int) -> Worker:
        """Start a preprocess worker."""
        task = task_to_json(self._preprocess)
        return self.processes.start("preprocess", str(number), task, threads=1)

    def start_segment(self, number: int) -> Worker:
        """Start a replica of the network."""
        inference = self.prepared.inference
        task = SegmentTask(
            weights=inference.weights,
            choice=inference.choice,
            fit=inference.fit,
            digest=inference.digest,
            weights_fd=self.prepared.weights_fd,
        )
        text, threads = task_to_json(task), inference.choice.threads
        fds = () if task.weights_fd is None else (task.weights_fd,)
        return self.processes.start("segment", str(number), text, threads=threads, fds=fds)

    def make_stream(self, stream_plan: StreamPlan) -> StreamState:
        """Return a stream that can start its own workers."""
        spec, sinks, settings = stream_plan.spec, stream_plan.sinks, self.prepared.config.decode
        live = stream_plan.live if spec.kind == "live" else None
        task = DecodeTask(
            spec=spec,
            threads=settings.threads,
            num_loops=settings.loop,
            preprocess=self._preprocess,
            live=live,
            num_classes=len(self.prepared.inference.labels),
        )
        decode = task_to_json(task)

        def start_encode(num_done: int | None) -> Worker:
            output = self.prepared.config.output
            context = sink_context(self.prepared.folder, spec, self.prepared.inference, output)
            task = EncodeTask(
                folder=context.folder,
                labels=context.labels,
                source=context.source,
                sinks=sinks,
                num_done=num_done,
                settings={sink: output.options.get(sink, {}) for sink in sinks},
                rolling=output.rolling,
                events=output.events,
                publish=output.publish,
                masks=self._masks,
                view=self.prepared.view_launcher.frames,
                max_side=self.prepared.config.view.max_side,
            )
            text, fds = task_to_json(task), self.prepared.folder_lock.descriptors
            return self.processes.start("encode", spec.name, text, threads=1, fds=fds)

        return StreamState(
            spec,
            start_decode=lambda: self.processes.start("decode", spec.name, decode, threads=1),
            start_encode=start_encode,
            resumes=self.prepared.config.output.resume,
            plan=stream_plan.live,
        )

    def start_others(self, sinks: Mapping[str, list[str]]) -> dict[str, Callable[[], Worker]]:
        """Return functions that start the workers which get no frames from the hub, by kind.

        Args:
            sinks: the names of the sinks of each stream, by stream name.
        """
        others: dict[str, Callable[[], Worker]] = {}
        if self.prepared.view_launcher.wanted:
            others["view"] = lambda: self.prepared.view_launcher.start(self.processes)
        if any("publish" in names for names in sinks.values()):
            others["publish"] = self._start_publish
        return others

    def _start_publish(self) -> Worker:
        task = PublishTask(settings=self.prepared.config.output.publish, masks=self._masks)
        return self.processes.start("publish", "masks", task_to_json(task), threads=1)

    @property
    def _preprocess(self) -> PreprocessTask:
        return PreprocessTask(self.prepared.inference.fit, self.prepared.inference.mean_color)

    @property
    def _masks(self) -> str:
        """The endpoint to which encode workers send masks for publication."""
        return f"ipc://{self.runtime_dir.folder}/masks"
