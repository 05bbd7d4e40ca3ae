"""Frames that are pushed to a camera over ZeroMQ, within one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from icstream.pipeline.live.zmq_source import ZmqCamera
from icstream.stages import FrameAccounting
from icstream.stages.live import LiveFrame, LostFrame


@contextmanager
def pushing(
    folder: Path, accounting: FrameAccounting
) -> Iterator[tuple[zmq.Socket[bytes], Iterator[LiveFrame | LostFrame | None]]]:
    """Open a socket that pushes to a camera; yield it and what the camera reads."""
    with (
        ZmqCamera(f"zmq://{folder / 'in'}", accounting=accounting) as camera,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as sender,
    ):
        sender.setsockopt(zmq.LINGER, 0)
        sender.connect(f"ipc://{folder / 'in'}")
        yield sender, iter(camera)
