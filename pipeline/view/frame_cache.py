"""The newest frame of every stream, compressed once for all viewers."""

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

_VIEWER_S = 1.0
"""Time in seconds that frames of a stream are requested after the last interest of a viewer."""
_ASK_AGAIN_S = 1.0
"""Time in seconds after which an unanswered request is repeated, as the worker may be a new one."""
_JPEG_QUALITY = 80
_MAX_BYTES = 2**28

_INFO_DECODER = msgspec.msgpack.Decoder(FrameInfo)


@dataclass(frozen=True, slots=True, eq=False)
class CachedFrame:
    """A frame and its mask, compressed for browsers."""

    number: int
    """Number among the frames of all streams; later frames have higher numbers."""
    info: FrameInfo
    jpeg: bytes
    png: bytes
    """Grayscale PNG whose values are class ids."""


class FrameCache:
    """Requests frames while there are viewers, and keeps the newest of each stream.

    One thread calls `update`; other threads may call all other methods.

    Attributes:
        status: the last status from the hub, or None before the first.
        status_at: the monotonic time of its arrival, in seconds.
    """

    def __init__(
        self, *, status: str, frames: str, rate: float, on_frames: Callable[[], None]
    ) -> None:
        """Bind and connect the sockets.

        Args:
            status: the endpoint at which the hub publishes the status of the run.
            frames: the endpoint for the encode workers.
            rate: the most frames per second of each stream.
            on_frames: a callback for new frames.
        """
        self.status: RunStatus | None = None
        self.status_at = time.monotonic()
        self._period_s = 1 / rate
        self._on_frames = on_frames
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
        self._viewed: dict[str, float] = {}
        """Time of the last interest of a viewer, by stream."""
        self._asked: dict[str, float] = {}
        """Time of the unanswered request to a worker, by stream."""
        self._newest: dict[str, CachedFrame] = {}
        self._next_ask = 0.0
        # Numbers keep rising when another process takes over.
        self._number = time.time_ns() // 1_000_000
        self._has_new = False

    def note_viewer(self, streams: Collection[str] | None) -> None:
        """Record that a viewer wants frames of these streams, or of all for None."""
        known = {stream.name for stream in self.status.streams} if self.status else set()
        wanted = known if streams is None else known.intersection(streams)
        with self._lock:
            self._viewed.update(dict.fromkeys(wanted, time.monotonic()))

    def newer_than(self, number: int, streams: Collection[str] | None) -> list[CachedFrame]:
        """Return the newest frame of each of these streams, if its number is higher."""
        with self._lock:
            frames = list(self._newest.values())
        return [
            frame
            for frame in frames
            if frame.number > number and (streams is None or frame.info.stream in streams)
        ]

    def update(self) -> None:
        """Receive messages, waiting at most a tenth of a second."""
        wait_s = min(0.1, max(0.0, self._next_ask - time.monotonic()))
        for socket, _ in self._poller.poll(round(1e3 * wait_s)):
            if socket is self._status:
                self.status = read_status(self._status.recv())
                self.status_at = time.monotonic()
            else:
                self._take_frame(self._workers.recv_multipart())
        if time.monotonic() >= self._next_ask:
            self._next_ask = time.monotonic() + self._period_s
            if self._has_new:
                self._has_new = False
                self._on_frames()
            self._request_frames()

    def _request_frames(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._viewed = {s: at for s, at in self._viewed.items() if now - at < _VIEWER_S}
            wanted = list(self._viewed)
        for stream in wanted:
            if now - self._asked.get(stream, 0.0) >= _ASK_AGAIN_S:
                self._asked[stream] = now
                # Without ROUTER_MANDATORY, messages without a receiver are discarded.
                self._workers.send_multipart([stream.encode()[:MAX_NAME], b""], zmq.NOBLOCK)

    def _take_frame(self, message: list[bytes]) -> None:
        frame = _compress(message, self._number + 1)
        self._number += 1
        self._asked.pop(frame.info.stream, None)
        with self._lock:
            self._newest[frame.info.stream] = frame
        self._has_new = True


def _compress(message: list[bytes], number: int) -> CachedFrame:
    _, header, rgb, ids = message
    info = _INFO_DECODER.decode(header)
    height, width = info.shown_size
    rgb_hw3 = np.frombuffer(rgb, np.uint8).reshape(height, width, 3)
    ids_hw = np.frombuffer(ids, np.uint8).reshape(height, width)
    bgr = cv2.cvtColor(rgb_hw3, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    _, png = cv2.imencode(".png", ids_hw, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return CachedFrame(number, info, jpeg.tobytes(), png.tobytes())
