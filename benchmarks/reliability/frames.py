"""The trial of a long recording without lost frames and with equal masks in each round."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from reliability.trial import WEIGHTS, Outcome, Trial, make_clip
from support.background import Background, read_report

_CLIP_FRAMES = 1_000
_SIZE = (64, 64)


def read_on_and_on(count: int, seed: int, folder: Path) -> Outcome:
    """Read a small recording round and round; each round's masks must be those of the first."""
    source = make_clip(folder, frames=_CLIP_FRAMES, size=_SIZE)
    rounds, out = -(-count // _CLIP_FRAMES), folder / "out"
    words = ["run", source, "-o", out, "--sink", "masks", "--loop", rounds, *WEIGHTS, "--quiet"]
    begin = time.monotonic()
    with Background(*words) as run:
        code = run.process.wait()
    wall_s = time.monotonic() - begin
    (stream,) = read_report(out)["streams"].values()
    expected = rounds * _CLIP_FRAMES
    faults = [] if code == 0 else [f"exit code {code}: {run.log[-500:]}"]
    if not stream["closed"]:
        faults.append("the accounts do not balance")
    if stream["encoded"] != expected:
        faults.append(f"{stream['encoded']} of {expected} frames are encoded")
    found = list(_rounds(sorted(out.rglob("masks*.mp4"))))
    if len(found) != rounds:
        faults.append(f"the files hold {len(found)} whole rounds of {rounds}")
    if different := sum(digest != found[0] for digest in found):
        faults.append(f"{different} rounds have other masks than the first")
    return Outcome(
        done=stream["encoded"],
        faults=faults,
        counts={"rounds compared": len(found)},
        values={"frames per second": [stream["encoded"] / wall_s]},
    )


def _rounds(paths: list[Path]) -> Iterator[bytes]:
    """Yield a digest of the masks of each whole round, read by FFmpeg."""
    digest, frames = hashlib.blake2b(), 0
    for path in paths:
        with av.open(path) as file:
            for frame in file.decode(video=0):
                ids = frame.to_ndarray(format="gray")
                digest.update(np.ascontiguousarray(ids).tobytes())
                frames += 1
                if frames == _CLIP_FRAMES:
                    yield digest.digest()
                    digest, frames = hashlib.blake2b(), 0


TRIALS = (
    Trial(
        name="frames",
        promise="Every frame of a recording is in the results once, with the same mask each time.",
        unit="frames",
        target=1_000_000,
        portion=100_000,
        run=read_on_and_on,
    ),
)
