"""supervisely/: a Supervisely video project with one bitmap per class and frame."""

import json
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from icstream.model import ConfigError, LabelSet
from icstream.model.files import partial_path, sync_folder, write_atomically
from icstream.stages.items import FrameMeta, SegmentedFrame
from icstream.stages.names import MAX_NAME_BYTES, fit_name
from icstream.stages.sinks.video_annotation import VideoAnnotation
from icstream.stages.supervisely.classes import project_meta
from icstream.stages.supervisely.files import (
    DATASET,
    KEY_IDS,
    META,
    NO_IDS,
    annotation_path,
    link_or_copy,
    video_path,
)
from icstream.stages.supervisely.objects import bitmap_geometry
from icstream.stages.supervisely.video import video_figure, video_head, video_object

log = logging.getLogger(__name__)

FOLDER = "supervisely"


def project_files(folder: Path, source_names: Collection[str]) -> Iterator[Path]:
    """Yield the files of a project of one of these recordings in a stream's folder."""
    project = folder / FOLDER
    for name in source_names:
        own_name = _own_name(name)
        annotation = annotation_path(project / DATASET, own_name)
        video = video_path(project / DATASET, own_name)
        found = [p for p in (annotation, partial_path(annotation), video) if p.is_file()]
        yield from found
        if found:
            yield from (p for p in (project / META, project / KEY_IDS) if p.is_file())


def _own_name(name: str) -> str:
    """Return the name of a recording in the project."""
    return fit_name(name, max_bytes=MAX_NAME_BYTES - len(".json"))


class SuperviselyProject(VideoAnnotation):
    """A sink for a project of one video, which is linked or copied into it.

    The annotation is written one line per frame under another name, and renamed once it is
    complete. The format identifies frames by index and has one size for all, so frames of another
    size than the first are left out with a warning.
    """

    def __init__(self, folder: Path, labels: LabelSet, *, source: Path | None) -> None:
        """Check that the frames come from a recording.

        Raises:
            ConfigError: The frames do not come from a video file.
        """
        if source is None:
            raise ConfigError("sink supervisely: the source must be a video file")
        self._project = folder / FOLDER
        self._video = _own_name(source.name)
        self._labels = labels
        self._source = source
        self._first: FrameMeta | None = None
        self._left_out = 0
        super().__init__(annotation_path(self._project / DATASET, self._video), shown=FOLDER)

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See base class."""
        self._open_again()
        self._first = self._first or first
        if self._fits(first, num_frames):
            super().skip(first, num_frames)

    def write(self, frame: SegmentedFrame) -> None:
        """See base class."""
        if self._first is None:
            self._first = frame.meta
            self._lay_out(frame.meta)
        if not self._fits(frame.meta):
            return
        figures = [
            video_figure(
                self._video,
                name,
                "bitmap",
                bitmap_geometry(frame.class_ids == k),
                frame.meta.index,
            )
            for k, name in enumerate(self._labels.names)
            if (frame.class_ids == k).any()
        ]
        self.write_figures(frame.meta, figures)

    def close(self) -> None:
        """See base class."""
        super().close()
        if self._left_out:
            log.warning(
                "%s: left %d frames of another size out of the project",
                self._project,
                self._left_out,
            )

    def _fits(self, meta: FrameMeta, num_frames: int = 1) -> bool:
        fits = self._first is None or meta.size == self._first.size
        self._left_out += 0 if fits else num_frames
        return fits

    def _lay_out(self, first: FrameMeta) -> None:
        """Create the project's folders and files, and the beginning of the annotation.

        They are flushed to disk before any frame: a run that is resumed after a power failure
        rewrites only what follows the frames on disk.
        """
        video = video_path(self._project / DATASET, self._video)
        for folder in (video.parent, self._annotation.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if not video.exists():
            link_or_copy(self._source, video, durable=True)
        meta = project_meta(self._labels, project_type="videos")
        for name, values in ((META, json.dumps(meta, indent=1)), (KEY_IDS, json.dumps(NO_IDS))):
            write_atomically(self._project / name, values.encode(), durable=True)
        for folder in (video.parent.parent, self._project.parent):
            sync_folder(folder)
        objects = [video_object(self._video, name) for name in self._labels.names]
        self.begin(video_head(self._video, first.size, objects))
