"""supervisely/: a Supervisely video project with one bitmap per class and frame."""

import json
import logging
from pathlib import Path
from typing import Any

from icstream.model import ConfigError, LabelSet
from icstream.stages.items import FrameMeta, SegmentedFrame
from icstream.stages.sinks.video_annotation import NO_IDS, VideoAnnotation
from icstream.stages.supervisely.format import (
    bitmap_geometry,
    link_or_copy,
    project_meta,
    stable_key,
)

log = logging.getLogger(__name__)

_DATASET = "dataset"


class SuperviselyProject(VideoAnnotation):
    """A project of one video, which is linked or copied into it.

    The annotation is written a line per frame under another name and gets its own when it is whole.
    The format knows frames by their index and one size for all: frames of another size than the
    first are left out with a warning.
    """

    def __init__(self, folder: Path, labels: LabelSet, *, source: Path | None) -> None:
        """Take the recording that the frames come from.

        Raises:
            ConfigError: the frames come from something else than a video file.
        """
        if source is None:
            raise ConfigError("sink supervisely: writes video projects, so it needs a video file")
        self._project = folder / "supervisely"
        self._labels = labels
        self._source = source
        self._first: FrameMeta | None = None
        self._left_out = 0
        annotation = self._project / _DATASET / "ann" / f"{source.name}.json"
        super().__init__(annotation, shown="supervisely")

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See `Sink.skip`."""
        self._open_again()
        self._first = self._first or first
        if self._fits(first, num_frames):
            super().skip(first, num_frames)

    def write(self, frame: SegmentedFrame) -> None:
        """See `Sink.write`."""
        if self._first is None:
            self._first = frame.meta
            self._lay_out(frame.meta)
        if not self._fits(frame.meta):
            return
        figures = [
            self._figure(frame.meta.index, name, bitmap_geometry(frame.class_ids == k))
            for k, name in enumerate(self._labels.names)
            if (frame.class_ids == k).any()
        ]
        self.write_figures(frame.meta, figures)

    def close(self) -> None:
        """See `Sink.close`."""
        super().close()
        if self._left_out:
            log.warning(
                "%s: %d frames of another size are not in the project",
                self._project,
                self._left_out,
            )

    def _fits(self, meta: FrameMeta, num_frames: int = 1) -> bool:
        fits = self._first is None or meta.size == self._first.size
        self._left_out += 0 if fits else num_frames
        return fits

    def _lay_out(self, first: FrameMeta) -> None:
        """Make the project's folders and files, and the head of the annotation."""
        video = self._project / _DATASET / "video" / self._source.name
        for folder in (video.parent, self._annotation.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if not video.exists():
            link_or_copy(self._source, video)
        meta = project_meta(self._labels, project_type="videos")
        (self._project / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        (self._project / "key_id_map.json").write_text(json.dumps(NO_IDS), encoding="utf-8")
        head = {
            "size": {"height": first.size[0], "width": first.size[1]},
            "description": "",
            "key": stable_key(self._source.name),
            "tags": [],
            "objects": [
                {"key": self._object_key(name), "classTitle": name, "tags": []}
                for name in self._labels.names
            ],
        }
        self.begin(head)

    def _figure(self, index: int, name: str, geometry: dict[str, Any]) -> dict[str, Any]:
        return {
            "key": stable_key(self._source.name, name, index),
            "objectKey": self._object_key(name),
            "geometryType": "bitmap",
            "geometry": geometry,
            "nnCreated": True,
            "nnUpdated": False,
        }

    def _object_key(self, name: str) -> str:
        return stable_key(self._source.name, name)
