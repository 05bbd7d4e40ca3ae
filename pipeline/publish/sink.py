"""Sink `publish`: masks and what belongs to them for subscribers; docs/live-view.md has the format.

Each encode worker hands its frames to one process, to which subscribers connect. Nobody waits for a
subscriber: one that does not keep up misses frames, and sees it by their sequence numbers.
"""

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import cv2
import zmq
import zmq.auth

from icstream.model import LabelSet
from icstream.stages import ClassIds, Frame, FrameMeta
from icstream.stages.sinks import Part, SinkMaker
from icstream.stages.sinks.parts import PartList
from icstream.stages.sinks.png_masks import write_png

VERSION = 1


class Publish:
    """Sends each frame to whoever listens; costs next to nothing as long as nobody does."""

    wants_image = False
    num_held_back = 0

    def __init__(self, labels: LabelSet, settings: Mapping[str, Any]) -> None:
        self._labels = labels
        self._encoding = settings["encoding"]
        self._queue = settings["queue"]
        self._endpoint: str = settings.get("masks", "")
        """Of the publisher."""
        self._socket: zmq.Socket[bytes] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._listeners = 0
        """Subscriptions that some frame of some stream would meet."""
        self._parts = PartList("")

    @property
    def parts(self) -> list[Part]:
        """See `Sink.parts`; nothing is written."""
        return []

    def begin_part(self) -> None:
        """See `Sink.begin_part`."""
        self._parts.begin_part()

    def restart_point(self, at_most: int) -> int:
        """See `Sink.restart_point`; what was sent need not be sent again."""
        return at_most

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """See `Sink.skip`."""
        self._parts.count(first, num_frames)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`; never waits."""
        assert isinstance(frame.result, ClassIds)
        socket = self._socket or self._open()
        with suppress(zmq.Again):
            while True:
                self._listeners += 1 if socket.recv(zmq.NOBLOCK)[:1] == b"\x01" else -1
        if self._listeners > 0:
            topic = frame.meta.stream.encode()
            with suppress(zmq.Again):
                socket.send_multipart(
                    [topic, self._header(frame), self._pixels(frame.result)], zmq.NOBLOCK
                )
        self._parts.count(frame.meta)

    def close(self) -> None:
        """See `Sink.close`; what is under way may still arrive."""
        if self._context is not None:
            self._context.destroy(linger=100)
            self._context = self._socket = None

    def _open(self) -> "zmq.Socket[bytes]":
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, self._queue)
        self._socket.connect(self._endpoint)
        return self._socket

    def _header(self, frame: Frame) -> bytes:
        assert isinstance(frame.result, ClassIds)
        meta, ids = frame.meta, frame.result.ids
        counts = cv2.calcHist([ids], [0], None, [256], [0, 256]).ravel()[: len(self._labels)]
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
            "shares": [round(float(count) / ids.size, 6) for count in counts],
        }
        return json.dumps(values, ensure_ascii=False).encode()

    def _pixels(self, result: ClassIds) -> bytes:
        if self._encoding == "raw":
            return result.ids.tobytes()
        png = io.BytesIO()
        write_png(result.ids, self._labels, png)
        return png.getvalue()


SINKS: dict[str, SinkMaker] = {
    "publish": lambda context: Publish(context.labels, context.settings),
}
"""Sinks that need sockets, which `stages` does not know."""
