"""The newest frame of every stream, compressed once for all who look."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import cv2
import msgspec
import numpy as np
import zmq

from icstream.pipeline.view.frame_sender import MAX_NAME, FrameInfo
from icstream.pipeline.view.status import RunStatus, read_status

_LOOKING_S = 1.0
"""Somebody who looked so long ago still looks."""
_ASK_AGAIN_S = 1.0
"""A worker that has not answered for so long may be another one by now, and is asked again."""
_JPEG_QUALITY = 80
_MAX_BYTES = 2**28

_EXHIBITS = msgspec.msgpack.Decoder(FrameInfo)


@dataclass(frozen=True, slots=True, eq=False)
class CachedFrame:
    """A frame with its mask, as browsers take them."""

    number: int
    """Among the frames of all streams; a later one has a higher number."""
    exhibit: FrameInfo
    jpeg: bytes
    png: bytes
    """Gray: values are class ids."""


class FrameCache:
    """Asks for frames as long as somebody looks, and keeps the newest of each stream.

    One thread calls `turn`; the others may call anything else.

    Attributes:
        status: the last that the hub told; None before the first.
        status_at: when it came, by the monotonic clock.
    """

    def __init__(
        self, *, status: str, frames: str, rate: float, on_news: Callable[[], None]
    ) -> None:
        """Binds and connects.

        Args:
            status: endpoint at which the hub tells how the run is going.
            frames: endpoint for the encode workers.
            rate: frames a second of each stream, at most.
            on_news: called when there are new frames.
        """
        self.status: RunStatus | None = None
        self.status_at = time.monotonic()
        self._period_s = 1 / rate
        self._on_news = on_news
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._status = context.socket(zmq.SUB)
        self._status.setsockopt(zmq.CONFLATE, 1)
        self._status.subscribe(b"")
        self._status.connect(status)
        self._workers = context.socket(zmq.ROUTER)
        self._workers.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._workers.setsockopt(zmq.SNDHWM, 2)
        self._workers.setsockopt(zmq.RCVHWM, 2)
        self._workers.setsockopt(zmq.MAXMSGSIZE, _MAX_BYTES)
        self._workers.bind(frames)
        self._poller = zmq.Poller()
        self._poller.register(self._status, zmq.POLLIN)
        self._poller.register(self._workers, zmq.POLLIN)
        self._lock = threading.Lock()
        self._looked: dict[str, float] = {}
        """When somebody last looked at a stream."""
        self._asked: dict[str, float] = {}
        """Streams whose worker owes a frame, and since when."""
        self._newest: dict[str, CachedFrame] = {}
        self._next_ask = 0.0
        # Numbers go on rising when another process takes over.
        self._number = time.time_ns() // 1_000_000
        self._news = False

    def look(self, streams: Collection[str] | None) -> None:
        """Takes note that somebody looks at these streams; None: at all."""
        known = {stream.name for stream in self.status.streams} if self.status else set()
        wanted = known if streams is None else known.intersection(streams)
        with self._lock:
            self._looked.update(dict.fromkeys(wanted, time.monotonic()))

    def newer_than(self, number: int, streams: Collection[str] | None) -> list[CachedFrame]:
        """Gives the newest frame of each of these streams, if its number is higher."""
        with self._lock:
            frames = list(self._newest.values())
        return [
            image
            for image in frames
            if image.number > number and (streams is None or image.exhibit.stream in streams)
        ]

    def turn(self) -> None:
        """Takes what has come, or waits for it up to a tenth of a second."""
        wait_s = min(0.1, max(0.0, self._next_ask - time.monotonic()))
        for socket, _ in self._poller.poll(round(1e3 * wait_s)):
            if socket is self._status:
                self.status = read_status(self._status.recv())
                self.status_at = time.monotonic()
            else:
                self._take_image(self._workers.recv_multipart())
        if time.monotonic() >= self._next_ask:
            self._next_ask = time.monotonic() + self._period_s
            if self._news:
                self._news = False
                self._on_news()
            self._ask()

    def _ask(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._looked = {s: at for s, at in self._looked.items() if now - at < _LOOKING_S}
            wanted = list(self._looked)
        for stream in wanted:
            if now - self._asked.get(stream, 0.0) >= _ASK_AGAIN_S:
                self._asked[stream] = now
                # Without ROUTER_MANDATORY, what nobody can take is thrown away.
                self._workers.send_multipart([stream.encode()[:MAX_NAME], b""], zmq.NOBLOCK)

    def _take_image(self, message: list[bytes]) -> None:
        image = _compress(message, self._number + 1)
        self._number += 1
        self._asked.pop(image.exhibit.stream, None)
        with self._lock:
            self._newest[image.exhibit.stream] = image
        self._news = True


def _compress(message: list[bytes], number: int) -> CachedFrame:
    _, header, rgb, ids = message
    exhibit = _EXHIBITS.decode(header)
    height, width = exhibit.shown_size
    rgb_hw3 = np.frombuffer(rgb, np.uint8).reshape(height, width, 3)
    ids_hw = np.frombuffer(ids, np.uint8).reshape(height, width)
    bgr = cv2.cvtColor(rgb_hw3, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    _, png = cv2.imencode(".png", ids_hw, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return CachedFrame(number, exhibit, jpeg.tobytes(), png.tobytes())
