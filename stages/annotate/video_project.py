"""Annotation of video projects: frames are annotated like images, and objects become figures."""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icstream.model import ConfigError, IcstreamError
from icstream.model.errors import SampleError
from icstream.stages.accounting import FrameAccounting
from icstream.stages.annotate.image import PredictMany, annotate
from icstream.stages.annotate.plan import AnnotationPlan
from icstream.stages.decode import open_source
from icstream.stages.decode.file_kinds import VIDEO_SUFFIXES
from icstream.stages.decode.find import find_sources
from icstream.stages.input_files import naming, parse_json, read_bytes
from icstream.stages.items import Frame, Size
from icstream.stages.sinks.video_annotation import VideoAnnotation
from icstream.stages.supervisely.files import (
    ANNOTATIONS,
    DATASET,
    VIDEOS,
    annotation_path,
    dataset_name,
    find_video_datasets,
    link_or_copy,
    project_of,
    video_path,
)
from icstream.stages.supervisely.objects import size_values
from icstream.stages.supervisely.video import (
    check_video_annotation,
    empty_video_annotation,
    figure_as_object,
    geometry_of,
    video_figure,
    video_object,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProjectVideo:
    """A recording of a project and its annotation."""

    name: str
    """The dataset and file for display, such as "drives/0001.mp4"."""
    dataset: Path
    """The folder of the dataset, relative to the project."""
    video: Path
    """The path of the recording."""
    annotation: Path | None
    """The path of the annotation; None if there is none."""

    @property
    def root(self) -> Path | None:
        """The folder of the project; None if the recording is in none."""
        return None if self.annotation is None else project_of(self.video, self.dataset)

    def annotation_in(self, project: Path) -> Path:
        """Return the path of the new annotation, which exists once the video is done."""
        return annotation_path(project / self.dataset, self.video.name)

    def load(self) -> dict[str, Any]:
        """Return the annotation's values, which are empty for a recording without annotation.

        Raises:
            SampleError: The annotation or the recording is missing or damaged, or the annotation
                has invalid references.
        """
        if not self.video.is_file():
            raise SampleError(f"{self.video}: {'no file' if self.video.exists() else 'missing'}")
        if self.video.suffix.lower() not in VIDEO_SUFFIXES:
            raise SampleError(f"{self.video}: its suffix is none of a video")
        if self.annotation is None:
            return empty_video_annotation(self.name)
        data = read_bytes(self.annotation)
        with naming(self.annotation):
            values = parse_json(data, dict[str, Any])
            check_video_annotation(values)
        return values


def project_videos(project: Path) -> list[ProjectVideo]:
    """Return all recordings of a video project, by dataset.

    Raises:
        ConfigError: There are none.
    """
    found = list(_videos(project))
    if not found:
        raise ConfigError(f"{project}: the project is empty; it has no dataset with videos")
    return found


def single_video(video: Path) -> ProjectVideo:
    """Return a recording outside a project."""
    return ProjectVideo(video.name, Path(DATASET), video, None)


def _videos(project: Path) -> Iterator[ProjectVideo]:
    for folder in find_video_datasets(project):
        dataset = folder.relative_to(project)
        for video in _names(folder):
            annotation = annotation_path(folder, video.name)
            yield ProjectVideo(f"{dataset_name(dataset)}/{video.name}", dataset, video, annotation)


def _names(dataset: Path) -> Iterator[Path]:
    """Yield each video of a dataset, and the path of each missing video that has an annotation."""
    videos = []
    for path in sorted((dataset / VIDEOS).iterdir()):
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith("."):
            videos.append(path)
        elif not path.name.startswith(".") and not annotation_path(dataset, path.name).exists():
            log.warning("%s: left out; its suffix is none of a video", path)
    yield from videos
    annotated = {path.stem for path in (dataset / ANNOTATIONS).glob("[!.]*.json")}
    for name in sorted(annotated - {video.name for video in videos}):
        yield video_path(dataset, name)


def annotate_video(
    plan: AnnotationPlan,
    item: ProjectVideo,
    project: Path,
    predict: PredictMany,
    *,
    on_frame: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    unknown: Counter[str] | None = None,
) -> FrameAccounting | None:
    """Write a recording and its new annotation to another project.

    Frames that an earlier call wrote are kept, and the others are added.

    Args:
        plan: The mode and the classes.
        item: The recording.
        project: The folder of the new project.
        predict: A function that returns the scores of crops.
        on_frame: A function that is called with the number of frames done and the total (or 0).
        should_stop: A function that is called before each frame, and returns whether to stop.
        unknown: A counter of existing figures that could not be used, by shape.

    Returns:
        The accounting of the recording's packets; None if it was stopped before the end.

    Raises:
        SampleError: The annotation cannot be used.
        SourceError: The recording cannot be read.
        ConfigError: The mode cannot be applied to its frames.
    """
    values = item.load()
    sink = VideoAnnotation(item.annotation_in(project), shown=str(project))
    num_before = sink.restart_point(sys.maxsize)
    (spec,) = find_sources([str(item.video)])
    accounting = FrameAccounting()
    try:
        with open_source(spec, accounting=accounting, first_image=num_before) as source:
            frames = _VideoFrames(plan, item, values, source.info.size, unknown)
            sink.begin(frames.head())
            for frame in source:
                if not isinstance(frame, Frame):
                    continue
                if frame.meta.index < num_before:
                    sink.skip(frame.meta, 1)
                elif should_stop():
                    sink.stop()
                    return None
                else:
                    sink.write_figures(frame.meta, frames.figures(frame, predict))
                on_frame(frame.meta.index + 1, source.info.num_frames or 0)
        frames.check_all_written(accounting.decoded)
    except IcstreamError:
        sink.discard()
        raise
    target = video_path(project / item.dataset, item.video.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(item.video, target, inside=item.root)
    sink.close()
    return accounting


class _VideoFrames:
    """The new annotation of a recording, created frame by frame from the old one."""

    def __init__(
        self,
        plan: AnnotationPlan,
        item: ProjectVideo,
        values: Mapping[str, Any],
        size: Size,
        unknown: Counter[str] | None,
    ) -> None:
        if plan.mode.save_probabilities:
            raise ConfigError("mode.save_probabilities: not supported in annotations of videos")
        height, width = size
        stated = values.get("size", {"height": height, "width": width})
        if (stated["height"], stated["width"]) != size:
            raise SampleError(
                f"{item.video}: is {width}x{height}, its annotation is for"
                f" {stated['width']}x{stated['height']}"
            )
        self._plan = plan
        self._unknown = unknown
        self._name = item.name
        self._values = dict(values)
        self._size = size
        self._titles = {entry["key"]: entry["classTitle"] for entry in values["objects"]}
        frames = self._values.pop("frames", [])
        self._values.pop("framesCount", None)
        self._figures = {frame["index"]: frame["figures"] for frame in frames}

    def head(self) -> dict[str, Any]:
        """Return the new annotation without its frames."""
        there = self._values["objects"]
        if self._plan.mode.existing_objects == "replace":
            there = []
        old = {entry["title"] for entry in self._plan.meta["classes"]} & self._plan.shapes.keys()
        added = [
            video_object(self._name, title)
            for title in (entry["title"] for entry in self._plan.meta["classes"])
            if title not in old
        ]
        return {"size": size_values(self._size), **self._values, "objects": [*there, *added]}

    def figures(self, frame: Frame, predict: PredictMany) -> list[dict[str, Any]]:
        """Return the figures of a frame; one of another size than the first keeps its own."""
        assert frame.image is not None
        there = self._figures.get(frame.meta.index, [])
        if frame.meta.size != self._size:
            return [] if self._plan.mode.existing_objects == "replace" else there
        objects = [figure_as_object(figure, self._titles[figure["objectKey"]]) for figure in there]
        figure_of = {id(entry): figure for entry, figure in zip(objects, there, strict=True)}
        annotation = {"size": size_values(self._size), "tags": [], "objects": objects}
        done = annotate(self._plan, frame.image, annotation, predict, unknown=self._unknown)
        return [
            figure_of.get(id(entry)) or self._as_figure(entry, frame.meta.index, number)
            for number, entry in enumerate(done["objects"])
        ]

    def check_all_written(self, num_frames: int) -> None:
        """Check that the recording had frames, including every one with figures.

        Raises:
            SampleError: Frames are missing, whose figures would be lost.
        """
        if not num_frames:
            raise SampleError(f"{self._name}: no frame could be decoded")
        beyond = [k for k, figures in self._figures.items() if figures and k >= num_frames]
        if beyond and self._plan.mode.existing_objects != "replace":
            raise SampleError(
                f"{self._name}: {num_frames} frames could be decoded, but frame {max(beyond)} has"
                " figures"
            )

    def _as_figure(self, entry: Mapping[str, Any], index: int, number: int) -> dict[str, Any]:
        title, kind = entry["classTitle"], entry["geometryType"]
        return video_figure(self._name, title, kind, geometry_of(entry), index, number)
