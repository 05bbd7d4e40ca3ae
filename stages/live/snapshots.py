"""Polling of addresses that return one image."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from av.error import FFmpegError

from icstream.model import SourceError
from icstream.stages.decode.address import shown
from icstream.stages.live.ffmpeg_input import describe_error, open_input
from icstream.stages.live.settings import LiveSettings

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

_EVERY_S = 1.0
"""The default interval of requests, in seconds."""
_LOOK_S = 0.25


def poll_images(
    address: str, settings: LiveSettings, first: "Packet[VideoStream]"
) -> "Iterator[Packet[VideoStream] | None]":
    """Yield each image that differs from the one before it, and None while it does not change.

    Args:
        address: The address, as in `open_input`.
        settings: The settings of live sources; `max_fps` is the rate of requests.
        first: The image that has already arrived; the others must have its format.

    Raises:
        SourceError: The address does not answer, or returns something else.
    """
    every_s = _EVERY_S if settings.max_fps is None else 1 / settings.max_fps
    codec, last, due = first.stream.codec.name, bytes(first), time.monotonic() + every_s
    while True:
        while (left_s := due - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_S))
            yield None
        due = max(due + every_s, time.monotonic())
        with open_input(address, settings) as container:
            images = container.streams.video
            if not images or images[0].codec.name != codec:
                raise SourceError(f"{shown(address)}: returns another format than before")
            try:
                packet = next(container.demux(images[0]), None)
            except FFmpegError as error:
                why = describe_error(error, address, settings)
                raise SourceError(f"{shown(address)}: {why}") from None
            if packet is not None and packet.size and bytes(packet) != last:
                last = bytes(packet)
                yield packet
