"""Opening of the source that a spec names."""

from collections.abc import Sequence

import numpy as np

from icstream.model import ConfigError
from icstream.model.planar import Empty
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.find import SourceSpec, own_sources
from icstream.stages.decode.images import ImageSource
from icstream.stages.decode.left_out import LeftOut
from icstream.stages.decode.loop import LoopedSource
from icstream.stages.decode.source import Source, SourceContext
from icstream.stages.decode.video import VideoSource


def open_source(
    spec: SourceSpec,
    *,
    accounting: FrameAccounting,
    threads: int = 1,
    num_loops: int = 1,
    first_image: int = 0,
    left_out: Sequence[LeftOut] = (),
    empty: Empty = np.empty,
) -> Source:
    """Open a source, which updates `accounting` while it is read.

    Args:
        spec: The spec, from `find_sources`.
        accounting: The counters of this stream.
        threads: The number of decoder threads.
        num_loops: The number of times that the source is read from beginning to end.
        first_image: The index before which frames may lack their image.
        left_out: The packets of a video, or the images, that are not decoded.
        empty: A function that allocates memory for frames, if the source can use it.

    Raises:
        ConfigError: The source is live.
        SourceError: The source cannot be opened, or holds no frame.
    """
    if spec.kind == "live":
        raise ConfigError(f"{spec.given}: this is a live source, a recording is needed")
    if num_loops > 1:

        def open_again() -> Source:
            return open_source(
                spec,
                accounting=accounting,
                threads=threads,
                first_image=first_image,
                left_out=left_out,
                empty=empty,
            )

        return LoopedSource(open_again, num_loops=num_loops)
    if spec.kind == "images":
        return ImageSource(spec, accounting=accounting, left_out=left_out)
    if spec.kind == "other":
        maker, _, rest = (spec.address or spec.given).partition(":")
        source: Source = own_sources()[maker].load()(SourceContext(spec.name, rest, accounting))
        return source
    return VideoSource(
        spec,
        accounting=accounting,
        threads=threads,
        first_image=first_image,
        left_out=left_out,
        empty=empty,
    )
