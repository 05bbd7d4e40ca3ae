"""Sink `publish`: masks and metadata for subscribers; docs/live-view.md describes the format.

Each encode worker passes its frames to one process that subscribers connect to. Nothing waits for a
subscriber: one that is too slow misses frames, which the sequence numbers reveal.
"""

import io
import json
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import zmq
from numpy.typing import NDArray

from icstream.model import LabelSet
from icstream.pipeline.settings.publish import PublishSettings
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.class_areas import count_class_pixels
from icstream.stages.sinks import Part, SinkMaker
from icstream.stages.sinks.parts import PartList
from icstream.stages.sinks.png_masks import write_png

VERSION = 1


class Publish:
    """Sends each frame to its subscribers, at almost no cost while there are none."""

    wants_image = False
    num_held_back = 0

    def __init__(self, labels: LabelSet, settings: PublishSettings, endpoint: str) -> None:
        self._labels = labels
        self._encoding = settings.encoding
        self._queue = settings.queue
        self._endpoint = endpoint
        self._socket: zmq.Socket[bytes] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._num_subscriptions = 0
        """Number of subscriptions to any topic."""
        self._parts = PartList("")

    @property
    def parts(self) -> list[Part]:
        """No parts, because nothing is written to files."""
        return []

    def begin_part(self) -> None:
        """See base class."""
        self._parts.begin_part()

    def restart_point(self, at_most: int) -> int:
        """Return `at_most`, because frames that were sent need not be sent again."""
        return at_most

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See base class."""
        self._parts.count(first, num_frames)

    def write(self, frame: SegmentedFrame) -> None:
        """Send the frame to subscribers, without waiting."""
        socket = self._socket or self._open()
        with suppress(zmq.Again):
            while True:
                change = socket.recv(zmq.NOBLOCK)[:1]
                self._num_subscriptions += {b"\x01": 1, b"\x00": -1}.get(change, 0)
        if self._num_subscriptions > 0:
            topic = frame.meta.stream.encode()
            with suppress(zmq.Again):
                parts = [topic, self._header(frame), self._pixels(frame.class_ids)]
                socket.send_multipart(parts, zmq.NOBLOCK)
        self._parts.count(frame.meta)

    def close(self) -> None:
        """Close the socket; messages in transit may still arrive."""
        if self._context is not None:
            self._context.destroy(linger=100)
            self._context = self._socket = None

    def _open(self) -> "zmq.Socket[bytes]":
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, self._queue)
        self._socket.connect(self._endpoint)
        return self._socket

    def _header(self, frame: SegmentedFrame) -> bytes:
        meta, num_pixels = frame.meta, frame.class_ids.size
        areas = count_class_pixels(frame.class_ids, len(self._labels))
        values = {
            "version": VERSION,
            "stream": meta.stream,
            "sequence": self._parts.num_frames,
            "index": meta.index,
            "pts": meta.pts,
            "time_base": str(meta.time_base),
            "size": list(meta.size),
            "encoding": self._encoding,
            "classes": list(self._labels.names),
            "shares": [round(int(area) / num_pixels, 6) for area in areas],
        }
        return json.dumps(values, ensure_ascii=False).encode()

    def _pixels(self, class_ids: NDArray[np.uint8]) -> bytes:
        if self._encoding == "raw":
            return class_ids.tobytes()
        png = io.BytesIO()
        write_png(class_ids, self._labels, png)
        return png.getvalue()


def publish_sink(settings: PublishSettings, endpoint: str) -> Mapping[str, SinkMaker]:
    """Return the factory of the sink by its name, for `open_sink`, as `stages` uses no sockets.

    Args:
        settings: the settings of the sink.
        endpoint: the endpoint at which the publisher receives masks.
    """
    return {"publish": lambda context: Publish(context.labels, settings, endpoint)}
