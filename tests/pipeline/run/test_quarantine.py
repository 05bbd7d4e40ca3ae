"""What kills its worker every time costs itself, and no other frame, stream or run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.clips import make_clip
from support.commands import call

pytestmark = pytest.mark.slow

PATCHES = '''
"""Makes workers die of some packets, images and frames; Python imports this before all others."""
import os
import signal
import sys

KIND, WHICH = sys.orig_argv[-2:]


def die_of(cls, method, is_deadly, number):
    plain = getattr(cls, method)

    def patched(self, *args, **kwargs):
        if is_deadly(*args):
            os.kill(os.getpid(), number)
        return plain(self, *args, **kwargs)

    setattr(cls, method, patched)


if (KIND, WHICH) == ("decode", "packets"):
    from icstream.stages.decode.packet_tracker import PacketTracker

    die_of(PacketTracker, "sent", lambda number, *_: number == 8, signal.SIGABRT)
elif KIND == "segment":
    from icstream.stages.segment import Segment

    # As the system does where memory is short.
    die_of(Segment, "process", lambda frame: frame.meta.size == (64, 128), signal.SIGKILL)
elif (KIND, WHICH) == ("encode", "frames"):
    from icstream.stages.encode import Encode

    die_of(Encode, "process", lambda frame: frame.meta.index == 5, signal.SIGSEGV)
'''


def test_every_kind_of_deadly_item_is_left_out_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(PATCHES)
    # Key frames every 6 packets: with the 8th go the 9th to the 12th.
    clips = [make_clip(tmp_path / f"{name}.mp4", pts=range(24)) for name in ("packets", "frames")]
    (tmp_path / "images").mkdir()
    for number in range(6):
        image = np.full((64, 128 if number == 2 else 96, 3), 40 * number, np.uint8)
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
    out = tmp_path / "out"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))  # of the workers
    done = call(
        *("run", *clips, tmp_path / "images", "-o", out),
        *("--weights", "streets", "--sink", "png", "--set", "pipeline.replicas=1"),
    )
    assert done.returncode == 3, done.stderr
    report = json.loads((out / "report.json").read_text())
    packets, frames, images = (report["streams"][n] for n in ("packets", "frames", "images"))
    assert (packets["undecodable"], packets["encoded"]) == ({"decoder crashed": 5}, 19)
    assert (frames["failed"], frames["encoded"]) == ({"encode crashed": 1}, 23)
    assert (images["failed"], images["encoded"]) == ({"segment crashed": 1}, 5)
    assert all(stream["closed"] for stream in (packets, frames, images))
    assert report["error"] is None
    left_out = "frames: frame 5 failed: encode frames: killed by SIGSEGV"
    assert left_out in done.stderr
