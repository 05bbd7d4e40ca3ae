"""areas.csv: the share of each class in each frame."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from icstream.model import LabelSet
from icstream.stages.class_areas import count_class_pixels
from icstream.stages.items import SegmentedFrame
from icstream.stages.sinks.line_sink import LineSink

FILE = "areas.csv"


class AreaTable(LineSink):
    """A table with one row per frame: index, pts, seconds, and the share of each class, 0 to 1.

    `pts` and `seconds` are empty where the source has no clock; seconds are rounded to
    nanoseconds.
    """

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        header = _row(["index", "pts", "seconds", *labels.names]) + "\n"
        super().__init__(folder, FILE, header=header)
        self._num_classes = len(labels)

    def write(self, frame: SegmentedFrame) -> None:
        """See base class."""
        meta, class_ids = frame.meta, frame.class_ids
        areas = count_class_pixels(class_ids, self._num_classes)
        shares = [f"{share:.6f}" for share in areas / class_ids.size]
        pts = "" if meta.pts is None else str(meta.pts)
        seconds = "" if meta.time is None else f"{float(meta.time):.9f}"
        self._write_line(meta, _row([str(meta.index), pts, seconds, *shares]))


def _row(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
