"""The aspect ratio of pixels, which are not square in every video."""

from fractions import Fraction

from av import VideoFrame
from av.video.stream import VideoStream

from icstream.stages.decode.pyav import exact_ratio
from icstream.stages.decode.rgb import orientation_of


class PixelAspect:
    """The pixel aspect ratio (width / height) of a stream's frames."""

    def __init__(self, stream: VideoStream) -> None:
        """Read the ratio of a stream from which nothing has been decoded yet.

        As in FFmpeg's programs, the container's value takes precedence over the codec's, which
        alone may change from frame to frame.
        """
        self._codec = stream.codec_context
        guessed = exact_ratio(stream.sample_aspect_ratio)
        self._of_container = guessed if guessed != self._of_codec() else None

    def of(self, frame: VideoFrame) -> Fraction | None:
        """Return the ratio of the frame decoded last, as displayed; None for square pixels."""
        ratio = self._of_container or self._of_codec()
        if not ratio or ratio == 1:
            return None
        return 1 / ratio if orientation_of(frame).transposed else ratio

    def _of_codec(self) -> Fraction | None:
        return exact_ratio(self._codec.sample_aspect_ratio)
