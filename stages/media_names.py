"""File names for FFmpeg."""

import os
from pathlib import Path


def ffmpeg_name(path: Path) -> str:
    """Return the name by which FFmpeg opens exactly this file.

    FFmpeg treats text before a colon as a protocol (`concat:a.mp4`, `12:30.mp4`), unless the name
    begins with a slash.
    """
    return os.path.abspath(path)
