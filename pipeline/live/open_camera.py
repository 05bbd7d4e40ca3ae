"""Opening of live sources of every kind."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from icstream.stages import FrameAccounting
from icstream.stages.decode.address import scheme_of
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.synthetic_spec import parse_synthetic
from icstream.stages.live import Camera, LiveSettings
from icstream.stages.live.synthetic import SyntheticCamera, SyntheticScene

if TYPE_CHECKING:
    from icstream.pipeline.live.reconnecting_source import OpenCamera


def camera_opener(
    spec: SourceSpec, settings: LiveSettings, accounting: FrameAccounting, *, threads: int
) -> "OpenCamera":
    """Return a function that connects to a live source; its connections update `accounting`.

    Raises:
        ConfigError: the address is invalid.
    """
    scheme = scheme_of(spec.address)
    if scheme == "synthetic":
        scene = SyntheticScene(parse_synthetic(spec.address))
        return lambda _, wait_until: SyntheticCamera(
            scene, accounting=accounting, wait_until=wait_until
        )
    if scheme == "zmq":
        from icstream.pipeline.live.zmq_source import ZmqCamera

        return lambda _, wait_until: ZmqCamera(spec.address, accounting=accounting)

    from icstream.stages.live.ffmpeg_camera import FFmpegCamera

    def connect(number: int, wait_until: Callable[[float], None]) -> Camera:
        return FFmpegCamera(
            spec.address,
            settings=settings,
            threads=threads,
            accounting=accounting,
            is_first=number == 1,
        )

    return connect
