"""The kinds of worker, by name."""

from collections.abc import Callable

from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.workers.decode import decode
from icstream.pipeline.workers.encode import encode
from icstream.pipeline.workers.stage_worker import preprocess, segment


def view(connection: WorkerConnection) -> None:
    """Serve the live view and the metrics."""
    from icstream.pipeline.view.server import serve_view

    serve_view(connection)


def publish(connection: WorkerConnection) -> None:
    """Hand masks on to subscribers."""
    from icstream.pipeline.publish.forwarder import forward

    forward(connection)


WORKER_KINDS: dict[str, Callable[[WorkerConnection], None]] = {
    "decode": decode,
    "preprocess": preprocess,
    "segment": segment,
    "encode": encode,
    "view": view,
    "publish": publish,
}
