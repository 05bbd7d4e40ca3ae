"""masks.jsonl: a line per frame with each class's mask in COCO's run lengths."""

import json
from pathlib import Path

from icstream.model import LabelSet
from icstream.stages.items import SegmentedFrame
from icstream.stages.sinks.line_sink import LineSink

FILE = "masks.jsonl"


class RleLines(LineSink):
    """A sink for class masks as JSON lines, for `pycocotools.mask.decode`."""

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        # Imported here, as its compiler is slow to import and few runs need it.
        from icstream.stages.coco_rle import class_masks

        super().__init__(folder, FILE)
        self._names = labels.names
        self._class_masks = class_masks

    def write(self, frame: SegmentedFrame) -> None:
        """See base class."""
        meta = frame.meta
        values = {
            "index": meta.index,
            "pts": meta.pts,
            "time_base": str(meta.time_base),
            "size": list(meta.size),
            "classes": self._class_masks(frame.class_ids, self._names),
        }
        self._write_line(meta, json.dumps(values, ensure_ascii=False))
