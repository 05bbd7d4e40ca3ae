"""The pipeline as one Python call."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError, Fit, Segmenter, load_weights
from icstream.model.planar import interleaved
from icstream.model.pretrained import DEFAULT
from icstream.model.renamed import renamed_arguments, renamed_fields
from icstream.model.runtimes import Precision, RuntimeName
from icstream.model.settings_base import DEFAULT_THREADS
from icstream.pipeline.chain import segment_chain
from icstream.pipeline.live.in_process import LiveSource
from icstream.stages import FrameAccounting, SegmentedFrame
from icstream.stages.decode import Source, open_source
from icstream.stages.decode.find import PagesName, SourceSpec, find_sources


@renamed_fields(picture="image")
@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """One frame with its mask."""

    index: int
    """The number among the source's frames, from 0."""
    pts: int | None
    """Presentation time in units of `time_base`; None where the source has no clock."""
    time_base: Fraction
    """Seconds per unit of `pts`."""
    image: NDArray[np.uint8]
    """The (H, W, 3) RGB image, as displayed."""
    class_ids: NDArray[np.uint8]
    """The (H, W) class ids, at the size of the image."""

    @property
    def time(self) -> Fraction | None:
        """The exact time in seconds; None where the source has no clock."""
        return None if self.pts is None else self.pts * self.time_base


@renamed_arguments(books="accounting")
def segment(
    source: str | Path,
    *,
    weights: str | Segmenter = DEFAULT,
    runtime: RuntimeName = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int = DEFAULT_THREADS,
    fit: Fit | None = None,
    pages: PagesName = "first",
    accounting: FrameAccounting | None = None,
) -> Iterator[Segmented]:
    """Yield every frame of a source with its mask, in presentation order.

    The masks equal those of `icstream run` with the same settings. Leaving the loop in any way
    closes the source.

    Args:
        source: a video file, an image, a folder or a glob of images, a camera or a URL. No frame
            of a live source is dropped: a loop that is slower than the source falls behind.
        weights: a checkpoint file, the name of shipped weights, "random", or a `Segmenter` to
            reuse; with a `Segmenter`, the inference settings below are ignored.
        runtime: see `Segmenter`.
        device: see `Segmenter`.
        precision: see `Segmenter`.
        threads: see `Segmenter`.
        fit: see `Segmenter`.
        pages: which images to read from files that hold several: "first" skips and counts the
            others, "all" reads each as a frame.
        accounting: counters to update while reading; they show what was lost and why.

    Raises:
        ConfigError: the source is more than one stream, or a setting is invalid.
        SourceError: the source cannot be opened.
    """
    spec = replace(_find_stream(source), pages=pages)
    if isinstance(weights, str):
        segmenter = Segmenter(
            load_weights(weights),
            runtime=runtime,
            device=device,
            precision=precision,
            threads=threads,
            fit=fit,
        )
    else:
        segmenter = weights
    accounting = FrameAccounting() if accounting is None else accounting
    chain = segment_chain(segmenter, accounting)
    with (
        _open_source(spec, accounting) as opened,
        closing(chain.run(opened)) as items,
    ):
        for item in items:
            if isinstance(item, SegmentedFrame):
                meta = item.meta
                image = interleaved(item.require_image())
                yield Segmented(meta.index, meta.pts, meta.time_base, image, item.class_ids)


def _find_stream(source: str | Path) -> SourceSpec:
    specs = find_sources([str(source)])
    if len(specs) != 1:
        raise ConfigError(f"{source}: {len(specs)} streams; call segment() for each of them")
    return specs[0]


def _open_source(spec: SourceSpec, accounting: FrameAccounting) -> Source | LiveSource:
    return (
        LiveSource(spec, accounting=accounting)
        if spec.kind == "live"
        else open_source(spec, accounting=accounting)
    )
