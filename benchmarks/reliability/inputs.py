"""Trials of damaged inputs, which are read as far as possible or refused."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av

from reliability.trial import WEIGHTS, Outcome, Trial
from support.background import Background, read_report
from support.fuzz.edits import drawn_edits, edited
from support.fuzz.targets import TARGETS

_FUZZ = Path(__file__).parents[2] / "tests" / "fuzz"

_CHILD = _FUZZ / "child.py"
_RECORDINGS = [name for name in TARGETS if name.startswith("recording-")]
_IMAGES = [name for name in TARGETS if name.startswith("image-")]
_GROUPS = (
    _RECORDINGS,
    _IMAGES,
    [name for name in TARGETS if name not in {*_RECORDINGS, *_IMAGES}],
)


def read_damaged(count: int, seed: int, folder: Path) -> Outcome:
    """Pass damaged samples to each reader of bytes, in processes with limits."""
    each = -(-count // len(TARGETS))
    faults: list[str] = []
    times: list[float] = []
    for names in _GROUPS:
        command = [sys.executable, str(_CHILD), str(seed), str(each), str(folder), *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        outcomes = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode:
            faults.append(f"seed {seed}, {names[len(outcomes)]}: ended with {done.returncode}")
        faults += [f"seed {seed}, {fault}" for outcome in outcomes for fault in outcome["faults"]]
        times += [outcome["longest_s"] for outcome in outcomes]
    return Outcome(
        done=each * len(TARGETS),
        faults=faults,
        values={"seconds of the slowest input of a reader": times},
    )


def run_damaged(count: int, seed: int, folder: Path) -> Outcome:
    """Run a folder of damaged recordings, and check that all missing frames are reported."""
    dice = random.Random(f"recordings {seed}")
    sources, out = folder / "in", folder / "out"
    sources.mkdir()
    for number in range(count):
        name = dice.choice(_RECORDINGS)
        path = sources / f"{number}.{name.removeprefix('recording-').rpartition('.')[2]}"
        path.write_bytes(edited(TARGETS[name].seeds()[0], drawn_edits(dice)))
    with Background("run", sources, "-o", out, "--sink", "areas", *WEIGHTS, "--quiet") as run:
        code = run.process.wait()
    report = read_report(out)
    if code not in (0, 3) or not report:
        return Outcome(done=count, faults=[f"seed {seed}: exit code {code}: {run.log[-500:]}"])
    streams = report["streams"]
    faults = [f"seed {seed}, {fault}" for fault in _unsaid(sources, streams)]
    whole = sum(not _losses(stream) for stream in streams.values())
    if (code == 0) != (whole == len(streams)):
        faults.append(f"seed {seed}: exit code {code}, but {whole} of {len(streams)} are whole")
    counts = {"read to their end without a loss": whole, "with a loss": len(streams) - whole}
    return Outcome(done=count, faults=faults, counts=counts)


def _losses(stream: dict[str, object]) -> list[object]:
    """Return the losses in the report."""
    keys = ("undecodable", "failed", "missing", "error")
    return [stream[key] for key in keys if stream.get(key)]


def _unsaid(sources: Path, streams: dict[str, dict[str, object]]) -> Iterator[str]:
    """Yield the faults of a stream, compared with PyAV's frames of the same file."""
    for path in sorted(sources.iterdir()):
        if (stream := streams.get(path.stem)) is None:
            yield f"{path.name}: not in the report"
        elif not stream["closed"]:
            yield f"{path.name}: the accounts do not balance"
        elif not _losses(stream) and (frames := _decoded(path)) > int(str(stream["encoded"])):
            yield f"{path.name}: {stream['encoded']} masks, but FFmpeg gives {frames} frames"


def _decoded(path: Path) -> int:
    """Return the number of intact frames of a file in a plain loop over FFmpeg's decoder."""
    count = 0
    try:
        with av.open(path) as file:
            for frame in file.decode(video=0):
                count += not frame.is_corrupt
    except (av.FFmpegError, IndexError, ValueError):
        pass
    return count


TRIALS = (
    Trial(
        name="broken-inputs",
        promise="Every reader of bytes from outside reads damaged input as far as it goes, or"
        " refuses it with the documented error. There is no other error and no crash, and no"
        " input takes more than 3 GB of memory or 30 s.",
        unit="damaged inputs",
        target=10_000,
        portion=1_000,
        run=read_damaged,
    ),
    Trial(
        name="broken-recordings",
        promise="A run over a folder of damaged recordings ends in order. The accounts balance, and"
        " each recording has as many masks as FFmpeg decodes frames, or the report says what"
        " is lost.",
        unit="damaged recordings",
        target=1_000,
        portion=25,
        run=run_damaged,
    ),
)
