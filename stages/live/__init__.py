"""Live sources: cameras and network streams."""

from icstream.stages.live.camera import AwaitsKeyFrame, Camera, LiveFrame, LostFrame
from icstream.stages.live.settings import Backoff, CameraSettings, LiveSettings
from icstream.stages.live.status import ReadingState, SourceState
from icstream.stages.live.timeline import RateLimit, Timeline

__all__ = [
    "AwaitsKeyFrame",
    "Backoff",
    "Camera",
    "CameraSettings",
    "LiveFrame",
    "LiveSettings",
    "LostFrame",
    "RateLimit",
    "ReadingState",
    "SourceState",
    "Timeline",
]
