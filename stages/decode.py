"""The decode stage: opens what a spec names."""

from icstream.stages.books import Books
from icstream.stages.decode_images import ImageSource
from icstream.stages.decode_video import VideoSource
from icstream.stages.source import Source, SourceContext, SourceInfo
from icstream.stages.sources import SourceSpec, own_sources

__all__ = ["Source", "SourceContext", "SourceInfo", "open_source"]


def open_source(spec: SourceSpec, *, books: Books, threads: int = 1) -> Source:
    """Opens a source; it keeps `books` while it is read.

    Args:
        spec: as `find_sources` gives it.
        books: counters of this stream.
        threads: of the decoder.

    Raises:
        SourceError: it cannot be opened, or holds no picture.
    """
    if spec.kind == "images":
        return ImageSource(spec, books=books)
    if spec.kind == "other":
        maker, _, rest = spec.given.partition(":")
        source: Source = own_sources()[maker].load()(SourceContext(spec.name, rest, books))
        return source
    return VideoSource(spec, books=books, threads=threads)
