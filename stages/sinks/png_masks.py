"""masks/NAME.png: an indexed PNG per frame."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icstream.model import LabelSet
from icstream.model.files import write_atomically
from icstream.stages.items import FrameMeta, SegmentedFrame
from icstream.stages.sinks.parts import PartList
from icstream.stages.sinks.sink import Part

_COMPRESSION = 1
"""zlib's fastest; higher levels take twice the time for a tenth of the size."""


def write_png(ids_HW: NDArray[np.uint8], labels: LabelSet, target: Path | BinaryIO) -> None:
    """Write class ids as palette indices, in the label set's colors."""
    image = Image.fromarray(ids_HW)
    image.putpalette(labels.palette().tobytes())
    image.save(target, format="PNG", compress_level=_COMPRESSION)


class PngMasks:
    """Class ids as palette indices, in the label set's colors."""

    wants_image = False
    num_held_back = 0

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        self._folder = folder / "masks"
        self._labels = labels
        self._parts = PartList("masks")

    @property
    def parts(self) -> list[Part]:
        """See `Sink.parts`."""
        return self._parts.all()

    def begin_part(self) -> None:
        """See `Sink.begin_part`; files of all parts stand side by side."""
        self._parts.begin_part()

    def write(self, frame: SegmentedFrame) -> None:
        """See `Sink.write`; a file is there wholly or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{frame.meta.index:06}" if frame.meta.name is None else frame.meta.name
        write_atomically(
            self._folder / f"{name}.png",
            lambda path: write_png(frame.class_ids, self._labels, path),
            durable=False,
        )
        self._parts.count(frame.meta)

    def restart_point(self, at_most: int) -> int:
        """See `Sink.restart_point`."""
        return min(at_most, sum(1 for _ in self._folder.glob("*.png")))

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See `Sink.skip`; files behind the restart point are written again."""
        self._parts.count(first, num_frames)

    def close(self) -> None:
        """See `Sink.close`; nothing is open between frames."""
