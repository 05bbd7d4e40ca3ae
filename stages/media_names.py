"""Names of files as FFmpeg takes them."""

import os
from pathlib import Path


def ffmpeg_name(path: Path) -> str:
    """Return the name by which FFmpeg opens this very file, whatever the file is called.

    FFmpeg takes what stands before a colon for a protocol (`concat:a.mp4`, `12:30.mp4`), unless
    the name begins with a slash.
    """
    return os.path.abspath(path)
