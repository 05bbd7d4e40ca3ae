"""supervisely/: a Supervisely video project with one bitmap per class and frame."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import IO, Any

from icstream.model import ConfigError, LabelSet
from icstream.stages.items import ClassIds, Frame, FrameMeta
from icstream.stages.sinks.part_list import PartList
from icstream.stages.sinks.sink import Part
from icstream.stages.supervisely import bitmap_geometry, project_meta, stable_key

log = logging.getLogger(__name__)

_DATASET = "dataset"
_NO_IDS: dict[str, dict[str, int]] = {"tags": {}, "objects": {}, "figures": {}, "videos": {}}


class SuperviselyProject:
    """A project of one video, which is linked or copied into it.

    The format knows frames by their index and one size for all: frames of another size than the
    first one's are left out, and said so.
    """

    wants_picture = False

    def __init__(self, folder: Path, labels: LabelSet, *, source: Path | None) -> None:
        """Takes the recording that the frames come from.

        Raises:
            ConfigError: the frames come from something else than a video file.
        """
        if source is None:
            raise ConfigError("sink supervisely: writes video projects, so it needs a video file")
        self._folder = folder / "supervisely"
        self._labels = labels
        self._source = source
        self._annotation = self._folder / _DATASET / "ann" / f"{source.name}.json"
        self._file: IO[str] | None = None
        self._first: FrameMeta | None = None
        self._parts = PartList("supervisely")
        self._left_out = 0

    @property
    def parts(self) -> list[Part]:
        """See `Sink.parts`."""
        return self._parts.all()

    def begin_part(self) -> None:
        """See `Sink.begin_part`; the project goes on."""
        self._parts.begin_part()

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        assert isinstance(frame.result, ClassIds)
        if self._file is None or self._first is None:
            self._file, self._first = self._begin(frame.meta), frame.meta
        elif frame.meta.size != self._first.size:
            self._left_out += 1
            return
        else:
            self._file.write(",\n")
        ids = frame.result.ids
        figures = [
            self._figure(frame.meta.index, name, bitmap_geometry(ids == k))
            for k, name in enumerate(self._labels.names)
            if (ids == k).any()
        ]
        json.dump({"index": frame.meta.index, "figures": figures}, self._file)
        self._file.flush()
        self._parts.count(frame.meta)

    def close(self) -> None:
        """See `Sink.close`; the annotation gets its name only now that it is whole."""
        if self._file is None:
            return
        count = sum(part.num_frames for part in self._parts.all())
        self._file.write(f'],\n"framesCount": {count}}}\n')
        self._file.close()
        self._partial().replace(self._annotation)
        if self._left_out:
            log.warning(
                "%s: %d frames of another size are not in the project",
                self._folder,
                self._left_out,
            )

    def _begin(self, first: FrameMeta) -> IO[str]:
        """Lays the project out and opens the annotation, up to its list of frames."""
        video = self._folder / _DATASET / "video" / self._source.name
        for folder in (video.parent, self._annotation.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if not video.exists():
            try:
                os.link(self._source, video)
            except OSError:  # another file system
                shutil.copyfile(self._source, video)
        meta = project_meta(self._labels, project_type="videos")
        (self._folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        (self._folder / "key_id_map.json").write_text(json.dumps(_NO_IDS), encoding="utf-8")
        file = self._partial().open("w", encoding="utf-8")
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
        file.write(json.dumps(head)[:-1] + ',\n"frames": [')
        return file

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

    def _partial(self) -> Path:
        return self._annotation.with_name(f"{self._annotation.name}.partial")
