"""supervisely/: a Supervisely video project with one bitmap per class and frame."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from icstream.model import ConfigError, LabelSet
from icstream.stages.items import ClassIds, Frame, FrameMeta
from icstream.stages.sinks.line_sink import LineSink
from icstream.stages.supervisely import bitmap_geometry, project_meta, stable_key

log = logging.getLogger(__name__)

_DATASET = "dataset"
_NO_IDS: dict[str, dict[str, int]] = {"tags": {}, "objects": {}, "figures": {}, "videos": {}}


class SuperviselyProject(LineSink):
    """A project of one video, which is linked or copied into it.

    The annotation is written a line per frame under another name and gets its own when it is whole.
    The format knows frames by their index and one size for all: frames of another size than the
    first one's are left out, and said so.
    """

    def __init__(self, folder: Path, labels: LabelSet, *, source: Path | None) -> None:
        """Takes the recording that the frames come from.

        Raises:
            ConfigError: the frames come from something else than a video file.
        """
        if source is None:
            raise ConfigError("sink supervisely: writes video projects, so it needs a video file")
        self._project = folder / "supervisely"
        self._labels = labels
        self._source = source
        self._annotation = self._project / _DATASET / "ann" / f"{source.name}.json"
        self._first: FrameMeta | None = None
        self._left_out = 0
        super().__init__(
            self._annotation.parent,
            f"{source.name}.json.partial",
            header="\n\n",  # two lines, which `_lay_out` knows
            shown="supervisely",
        )

    def restart_point(self, at_most: int) -> int:
        """See `Sink.restart_point`."""
        self._open_again()
        return super().restart_point(at_most)

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See `Sink.skip`."""
        self._open_again()
        self._first = self._first or first
        if self._fits(first, num_frames):
            super().skip(first, num_frames)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        assert isinstance(frame.result, ClassIds)
        if self._first is None:
            self._first = frame.meta
            self._lay_out(frame.meta)
        if not self._fits(frame.meta):
            return
        ids = frame.result.ids
        figures = [
            self._figure(frame.meta.index, name, bitmap_geometry(ids == k))
            for k, name in enumerate(self._labels.names)
            if (ids == k).any()
        ]
        line = json.dumps({"index": frame.meta.index, "figures": figures})
        self._write_line(frame.meta, f",{line}" if self._parts.num_frames else line)

    def close(self) -> None:
        """See `Sink.close`; the annotation gets its name only now that it is whole."""
        super().close()
        if self._parts.num_frames:
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(f'],"framesCount": {self._parts.num_frames}}}\n')
            self._path.replace(self._annotation)
        if self._left_out:
            log.warning(
                "%s: %d frames of another size are not in the project",
                self._project,
                self._left_out,
            )

    def _open_again(self) -> None:
        """Makes an annotation that was finished one that can be continued."""
        if self._annotation.exists():
            content = self._annotation.read_text(encoding="utf-8")
            frames, _, _ = content.rpartition("]")
            self._path.write_text(frames, encoding="utf-8", newline="\n")
            self._annotation.unlink()

    def _fits(self, meta: FrameMeta, num_frames: int = 1) -> bool:
        fits = self._first is None or meta.size == self._first.size
        self._left_out += 0 if fits else num_frames
        return fits

    def _lay_out(self, first: FrameMeta) -> None:
        """Makes the project's folders and files, and the head of the annotation."""
        video = self._project / _DATASET / "video" / self._source.name
        for folder in (video.parent, self._annotation.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if not video.exists():
            try:
                os.link(self._source, video)
            except OSError:  # another file system
                shutil.copyfile(self._source, video)
        meta = project_meta(self._labels, project_type="videos")
        (self._project / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        (self._project / "key_id_map.json").write_text(json.dumps(_NO_IDS), encoding="utf-8")
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
        self._header = json.dumps(head)[:-1] + ',\n"frames": [\n'

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
