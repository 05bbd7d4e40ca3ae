"""The kinds of worker, by name."""

from collections.abc import Callable

from icstream.pipeline.wire.connection import Post
from icstream.pipeline.workers.decode import decode
from icstream.pipeline.workers.encode import encode
from icstream.pipeline.workers.stage_worker import preprocess, segment


def view(post: Post) -> None:
    """Shows the run in browsers, and its figures to whoever may ask."""
    from icstream.pipeline.view.server import serve

    serve(post)


def publish(post: Post) -> None:
    """Hands masks on to subscribers."""
    from icstream.pipeline.publish.forwarder import forward

    forward(post)


SERVICES: dict[str, Callable[[Post], None]] = {
    "decode": decode,
    "preprocess": preprocess,
    "segment": segment,
    "encode": encode,
    "view": view,
    "publish": publish,
}
