"""Annotation of a project or a recording, into a new project with the model's objects."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from icstream.model import Checkpoint, ConfigError, SourceError, load_weights
from icstream.model.runtimes import Precision, RuntimeChoice, RuntimeName, select_runtime
from icstream.model.settings_base import DEFAULT_THREADS
from icstream.pipeline.offline.annotate_project import (
    Project,
    begin_project,
    check_places,
    manifest,
    open_project,
)
from icstream.pipeline.output import lock_output_folder
from icstream.pipeline.settings.annotate import AnnotateConfig
from icstream.stages.annotate import AnnotationPlan, MisfitError, annotate, make_plan
from icstream.stages.annotate.network import NetworkScores, label_classes
from icstream.stages.annotate.video_project import annotate_video
from icstream.stages.data import SampleError

log = logging.getLogger(__name__)

_CUDA_BATCH = 8
"""Number of crops of one image that a GPU processes at once."""
_MANY_CROPS = ("bboxes", "sliding_window")
"""Modes with more than one crop per image."""

OnProgress = Callable[[int, int], None]
"""Callback with the numbers of finished and of all images, or frames of the present recording."""


@dataclass(slots=True)
class Outcome:
    """The outcome for the items of a project."""

    kind: Literal["images", "videos"]
    num_items: int
    choice: RuntimeChoice
    digest: str
    """Digest of the weights."""
    num_done: int = 0
    """Number of finished items, including those of an earlier call."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Name and error of each item that is not in the new project."""
    incomplete: list[tuple[str, str]] = field(default_factory=list)
    """Name and error of each video of which not every frame could be decoded."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Number of existing objects of unsupported shapes, by shape, which stay unchanged."""
    stopped: bool = False
    seconds: float = 0.0

    def exit_code(self) -> int:
        """Return 3 if an item failed or is incomplete, or an object was skipped, else 0."""
        return 3 if self.failed or self.incomplete or self.unknown else 0

    def lines(self) -> list[str]:
        """Return the outcome as lines for people."""
        lost = [f"left out: {name}: {error}" for name, error in self.failed]
        lost += [f"incomplete: {name}: {error}" for name, error in self.incomplete]
        lost += [
            f"skipped: {number} objects of the unsupported shape {shape!r}"
            for shape, number in self.unknown.items()
        ]
        return [f"{self.num_done} of {self.num_items} {self.kind} annotated", *lost]

    def values(self) -> dict[str, Any]:
        """Return the outcome as plain JSON values."""
        return {
            "version": version("icstream"),
            "exit_code": self.exit_code(),
            "kind": self.kind,
            "items": self.num_items,
            "annotated": self.num_done,
            "failed": [{"name": name, "error": error} for name, error in self.failed],
            "incomplete": [{"name": name, "error": error} for name, error in self.incomplete],
            **({"passed_over": dict(self.unknown)} if self.unknown else {}),
            "chosen": asdict(self.choice),
            "hashes": {"weights": self.digest},
            "seconds": round(self.seconds, 3),
        }


def annotate_project(
    config: AnnotateConfig,
    source: Path,
    out: Path,
    *,
    weights: str,
    runtime: RuntimeName = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int = DEFAULT_THREADS,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress = lambda _done, _all: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Write a copy of the project, annotated by the model.

    Args:
        config: all settings.
        source: a project of images or videos, or a video file.
        out: the folder of the new project, neither inside the old one nor around it.
        weights: a checkpoint file, or the name of shipped weights.
        runtime: the inference runtime, as in `Segmenter`.
        device: the device, as in `Segmenter`; "auto" is `config.model.gpu_device` with CUDA.
        precision: the precision, as in `Segmenter`.
        threads: the number of CPU threads.
        resume: whether to continue an earlier call's project.
        overwrite: whether to replace an earlier call's project.
        on_progress: a callback after each image or frame.
        should_stop: a function called before each image or frame; the work ends when it returns
            True.

    Raises:
        ConfigError: settings, project, weights or folder cannot be used, another command writes
            into the folder, or no item at all can be used.
    """
    begun = time.monotonic()
    project = open_project(source)
    checkpoint = load_weights(weights)
    choice = _choose(
        config, checkpoint, runtime=runtime, device=device, precision=precision, threads=threads
    )
    plan = make_plan(
        config.mode,
        project.meta,
        label_classes(checkpoint.labels),
        threshold=config.model.min_score_threshold,
    )
    check_places(source, out, overwrite=overwrite, resume=resume)
    batch = _CUDA_BATCH if choice.device != "cpu" and plan.mode.name in _MANY_CROPS else 1
    outcome = Outcome(project.kind, len(project.items), choice, checkpoint.digest())
    work = _annotate_images if project.kind == "images" else _annotate_videos
    with lock_output_folder(out):
        values = manifest(config, project, checkpoint, choice)
        begin_project(project, plan, out, values, overwrite=overwrite, resume=resume)
        network = NetworkScores(checkpoint, choice, batch=batch)
        work(project, plan, out, network, outcome, on_progress=on_progress, should_stop=should_stop)
    outcome.seconds = time.monotonic() - begun
    _check_any_done(outcome)
    return outcome


def _check_any_done(outcome: Outcome) -> None:
    if not outcome.stopped and not outcome.num_done:
        name, error = outcome.failed[0]
        raise ConfigError(
            f"none of the {outcome.num_items} {outcome.kind} can be used: {name}: {error}"
        )


def _annotate_images(
    project: Project,
    plan: AnnotationPlan,
    out: Path,
    network: NetworkScores,
    outcome: Outcome,
    *,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    for number, item in enumerate(project.images, start=1):
        if should_stop():
            outcome.stopped = True
            return
        if item.annotation_in(out).exists():
            outcome.num_done += 1
        else:
            try:
                image_HW3, annotation = item.load()
                done = annotate(plan, image_HW3, annotation, network, unknown=outcome.unknown)
                item.write(done, out)
                outcome.num_done += 1
            except (SampleError, MisfitError) as error:
                _note(outcome.failed, item.name, error)
        on_progress(number, len(project.images))


def _annotate_videos(
    project: Project,
    plan: AnnotationPlan,
    out: Path,
    network: NetworkScores,
    outcome: Outcome,
    *,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    for item in project.videos:
        if item.annotation_in(out).exists():
            outcome.num_done += 1
            continue
        try:
            accounting = annotate_video(
                plan,
                item,
                out,
                network,
                on_frame=on_progress,
                should_stop=should_stop,
                unknown=outcome.unknown,
            )
        except (SampleError, SourceError, MisfitError) as error:
            _note(outcome.failed, item.name, error)
            continue
        if accounting is None:
            outcome.stopped = True
            return
        outcome.num_done += 1
        if not accounting.complete:
            _note(outcome.incomplete, item.name, accounting.losses())


def _note(notes: list[tuple[str, str]], name: str, error: object) -> None:
    log.warning("%s: %s", name, error)
    notes.append((name, str(error)))


def _choose(
    config: AnnotateConfig,
    checkpoint: Checkpoint,
    *,
    runtime: RuntimeName,
    device: str,
    precision: Precision,
    threads: int,
) -> RuntimeChoice:
    if device == "auto" and config.model.gpu_device and select_runtime(checkpoint).device != "cpu":
        device = f"cuda:{config.model.gpu_device}"
    if runtime == "auto" and config.mode.name == "bboxes" and checkpoint.fit.size is None:
        # Nearly every crop has a different size, and OpenVINO compiles for each size.
        runtime = "torch"
    return select_runtime(
        checkpoint, runtime=runtime, device=device, precision=precision, threads=threads
    )
