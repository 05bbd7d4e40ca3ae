"""The kinds of worker, by name."""

from collections.abc import Callable

from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.workers.decode import run_decode_worker
from icstream.pipeline.workers.encode import run_encode_worker
from icstream.pipeline.workers.stage_worker import run_preprocess_worker, run_segment_worker


def run_view_worker(connection: WorkerConnection) -> None:
    """Serve the view's page and the metrics until the run ends."""
    from icstream.pipeline.view.server import serve_view

    serve_view(connection)


def run_publish_worker(connection: WorkerConnection) -> None:
    """Send masks to subscribers until the run ends."""
    from icstream.pipeline.publish.forwarder import forward_masks

    forward_masks(connection)


WORKER_KINDS: dict[str, Callable[[WorkerConnection], None]] = {
    "decode": run_decode_worker,
    "preprocess": run_preprocess_worker,
    "segment": run_segment_worker,
    "encode": run_encode_worker,
    "view": run_view_worker,
    "publish": run_publish_worker,
}
