"""Damage at random, in nine formats: whatever happens, nothing crashes and the accounts balance."""

from pathlib import Path

import numpy as np
import pytest

from icstream.model import SourceError
from icstream.stages import End, Frame, FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from support.clips import make_clip

FORMATS = {
    "a.mp4": {},
    "b.ts": {"options": {"bf": "2"}},
    "c.mkv": {"codec": "mpeg4"},
    "d.avi": {"codec": "mpeg4"},
    "e.webm": {"codec": "libvpx-vp9"},
    "f.mpg": {"codec": "mpeg2video"},
    "g.h264": {"container": "h264"},
    "h.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "i.flv": {},
}


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Flip bytes, cuts the end off, takes a piece out, or overwrites one with noise."""
    changed = bytearray(content)
    start, length = int(random.integers(1, len(changed))), int(random.integers(1, 500))
    match int(random.integers(4)):
        case 0:
            for place in random.integers(len(changed), size=12):
                changed[place] = int(random.integers(256))
        case 1:
            del changed[start:]
        case 2:
            del changed[start : start + length]
        case _:
            piece = len(changed[start : start + length])
            changed[start : start + length] = random.integers(0, 256, piece, np.uint8).tobytes()
    return bytes(changed)


@pytest.mark.parametrize("name", FORMATS)
def test_books_close_whatever_is_damaged(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, pts=tuple(range(30)), gop=10, **FORMATS[name])  # type: ignore[arg-type]
    intact = clip.read_bytes()
    random = np.random.default_rng(sorted(FORMATS).index(name))
    opened = 0
    for _ in range(25):
        clip.write_bytes(damaged(intact, random))
        (spec,) = find_sources([str(clip)])
        accounting = FrameAccounting()
        try:
            source = open_source(spec, accounting=accounting, threads=int(random.integers(1, 3)))
        except SourceError:
            continue
        with source:
            items = list(source)
        opened += 1
        frames = sum(isinstance(item, Frame) for item in items)
        accounting.in_flight -= frames
        accounting.encoded += frames
        assert accounting.faults() == []
        assert isinstance(items[-1], End)
    assert opened > 5
