"""The sender of frames from an encode worker to the view: one frame per request."""

from contextlib import suppress
from typing import Any

import cv2
import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from icstream.model.planar import interleaved
from icstream.stages import SegmentedFrame

MAX_NAME = 255
"""Longest name of a stream in bytes, by which the view addresses its worker."""


class FrameInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message part that precedes the pixels of a frame and its mask."""

    stream: str
    index: int
    pts: int | None
    seconds: float | None
    size: tuple[int, int]
    """Height and width of the frame."""
    shown_size: tuple[int, int]
    """Height and width of the image and the mask that follow."""


class FrameSender:
    """Sends a copy of a frame to the view on request, and stores nothing."""

    def __init__(self, endpoint: str, stream: str, *, max_side: int) -> None:
        """Connect; the view does not have to exist yet.

        Args:
            endpoint: the endpoint of the view.
            stream: the name of the stream.
            max_side: the longest side in pixels; larger frames are shrunk.
        """
        self._max_side = max_side
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.ROUTING_ID, stream.encode()[:MAX_NAME])
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 1)
        self._socket.setsockopt(zmq.RCVHWM, 2)
        self._socket.connect(endpoint)

    def offer(self, frame: SegmentedFrame) -> None:
        """Send the frame if the view has requested one since the last; never wait."""
        if not self._is_requested() or frame.image is None:
            return
        meta = frame.meta
        image, class_ids = shrink(frame.image, frame.class_ids, max_side=self._max_side)
        seconds = None if meta.time is None else float(meta.time)
        shown_size = class_ids.shape[0], class_ids.shape[1]
        info = FrameInfo(meta.stream, meta.index, meta.pts, seconds, meta.size, shown_size)
        parts: list[Any] = [msgspec.msgpack.encode(info), image, class_ids]
        with suppress(zmq.Again):
            self._socket.send_multipart(parts, zmq.NOBLOCK)

    def _is_requested(self) -> bool:
        requested = False
        with suppress(zmq.Again):
            while True:
                self._socket.recv(zmq.NOBLOCK)
                requested = True
        return requested


def shrink(
    image: NDArray[np.uint8], class_ids: NDArray[np.uint8], *, max_side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return image and mask with sides of at most `max_side`, unchanged if they fit."""
    height, width = class_ids.shape
    image = interleaved(image)
    scale = max_side / max(height, width)
    if scale >= 1:
        return image, np.ascontiguousarray(class_ids)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small_ids = cv2.resize(class_ids, size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, np.uint8), np.asarray(small_ids, np.uint8)
