"""Rendered streets as a recording with a variable frame rate."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from icstream.stages.media_names import ffmpeg_name
from icstream.stages.streets.street import Street

TIME_BASE = Fraction(1, 90_000)
_FIRST_PTS = 12_600
"""The first `pts`, 140 ms, as ordinary MP4 stores the start in whole milliseconds."""
_FRAME_TICKS = (2_700, 4_500)
"""The shortest and longest frame duration: 33 to 20 frames per second."""


def write_clip(path: Path, street: Street, *, num_frames: int) -> list[int]:
    """Write an H.264 clip of the street, BT.709, with irregular times that depend on the seed.

    Returns:
        The `pts` of the frames, in units of 1/90000 s; the truth of a frame is
        `street.render(float(pts * TIME_BASE))[1]`.
    """
    random = np.random.default_rng([street.seed, 4])
    steps = random.integers(*_FRAME_TICKS, size=num_frames - 1, endpoint=True)
    times: list[int] = [_FIRST_PTS, *(_FIRST_PTS + np.cumsum(steps)).tolist()]
    height, width = street.size
    options = {"video_track_timescale": str(TIME_BASE.denominator)}
    with av.open(ffmpeg_name(path), "w", format="mp4", options=options) as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "fast", "crf": "18"})
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        for pts in times:
            image, _ = street.render(float(pts * TIME_BASE))
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts, frame.time_base = pts, TIME_BASE
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return times
