"""Writing of recordings with several videos, and reading of recordings to their end."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Disposition
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.stages import Frame, FrameAccounting
from icstream.stages.decode import SourceInfo, open_source
from icstream.stages.decode.find import find_sources
from support.clips import moving_image


@dataclass
class Video:
    """One video track of a recording."""

    size: tuple[int, int]
    num_frames: int = 6
    is_default: bool = False


def make_tracks(path: Path, *videos: Video) -> Path:
    """Write a recording with several videos."""
    with av.open(path, "w") as file:
        streams = []
        for video in videos:
            stream = file.add_stream("mpeg4", rate=25)
            assert isinstance(stream, VideoStream)
            (stream.height, stream.width), stream.pix_fmt = video.size, "yuv420p"
            stream.disposition = Disposition.default if video.is_default else Disposition(0)
            streams.append(stream)
        for video, stream in zip(videos, streams, strict=True):
            for number in range(video.num_frames):
                image = moving_image(number, video.size)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
    return path


def read(path: Path) -> tuple[int, FrameAccounting, SourceInfo, str | None]:
    """Return the number of frames, the accounting, the source's properties, and the final error."""
    (spec,) = find_sources([str(path)])
    accounting, num_frames, error = FrameAccounting(), 0, None
    with open_source(spec, accounting=accounting) as source:
        try:
            for item in source:
                num_frames += isinstance(item, Frame)
        except SourceError as failure:
            error = str(failure)
        info = source.info
    accounting.in_flight -= accounting.decoded
    accounting.encoded += accounting.decoded
    assert accounting.faults() == []
    return num_frames, accounting, info, error
