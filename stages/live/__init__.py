"""Live sources: cameras and network streams, one connection at a time."""

from icstream.stages.live.camera import Camera, LiveFrame, LostFrame
from icstream.stages.live.options import CameraOptions
from icstream.stages.live.timeline import RateLimit, Timeline

__all__ = [
    "Camera",
    "CameraOptions",
    "LiveFrame",
    "LostFrame",
    "RateLimit",
    "Timeline",
]
