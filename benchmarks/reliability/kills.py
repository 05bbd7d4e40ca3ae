"""Trials of worker processes that are killed at random moments."""

import csv
import os
import random
import signal
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from threading import Timer

import cv2
import zmq
from chaos import contents

from icstream.stages.streets import Street
from reliability.trial import ANY_RESTARTS, WEIGHTS, Outcome, Trial, make_clip, run_quietly
from support.background import Background, read_report, wait_for

_KILLS_PER_RUN = 8
"""The kills in a run; with more, it would spend most of its time starting workers."""
_CAMERA = "synthetic:size=160x120,rate=20"
_RESIZED = tuple(
    word
    for setting in ("mode=letterbox", "width=192", "height=128")
    for word in ("--set", f"fit.{setting}")
)
"""The options that resize frames, as frames that are only padded need no preprocess worker."""
_SINKS = ("--sink", "masks", "--sink", "areas")


def kill_in_recordings(kind: str, count: int, seed: int, folder: Path) -> Outcome:
    """Kill workers of one kind while a recording is segmented, until `count` have died."""
    dice = random.Random(f"{kind} {seed}")
    source = make_clip(folder, frames=400)
    options = [*_SINKS, *ANY_RESTARTS, *_RESIZED]
    run_quietly(source, folder / "calm", *options)
    expected = contents(folder / "calm")
    faults: list[str] = []
    kills = runs = 0
    while kills < count and len(faults) < 10:
        out, runs = folder / "wild", runs + 1
        wanted = min(count - kills, _KILLS_PER_RUN)
        killed, fault = _run_and_kill(kind, wanted, dice, source, out, options)
        kills += killed
        if not fault and contents(out) != expected:
            fault = "the results differ from those of an undisturbed run"
        if fault:
            faults.append(f"run {runs}, {killed} kills of {kind}: {fault}")
    return Outcome(done=kills, faults=faults, counts={"runs": runs})


def _run_and_kill(
    kind: str, count: int, dice: random.Random, source: Path, out: Path, options: list[str]
) -> tuple[int, str]:
    """Run once, and return the number of killed workers, and the fault or ""."""
    words = ["run", source, "-o", out, "--overwrite", *WEIGHTS, "--quiet", *options]
    killed = 0
    with Background(*words) as run:
        while run.process.poll() is None:
            time.sleep(dice.uniform(0.05, 1.2))
            if killed < count:
                killed += _kill_one(run, kind, dice)
        code = run.process.wait()
        left = run.workers(kind)
    if code:
        return killed, f"exit code {code}: {run.log[-500:]}"
    return killed, f"{len(left)} processes are left" if left else ""


def _kill_one(run: Background, kind: str, dice: random.Random) -> bool:
    """Kill a worker of a kind, if there is one."""
    if not (found := run.workers(kind)):
        return False
    with suppress(ProcessLookupError):
        os.kill(dice.choice(found).pid, signal.SIGKILL)
        return True
    return False


def kill_live_decoders(count: int, seed: int, folder: Path) -> Outcome:
    """Kill the process that reads a camera, and check that frames and times continue."""
    options = ["--sink", "areas", "--set", "live.backoff.cap_s=1"]

    def encoded_since(run: Background) -> Callable[[], bool]:
        table = next(iter((folder / "out").rglob("areas.csv")), None)
        before = table.stat().st_size if table else 0
        return lambda: any(
            path.stat().st_size > before for path in (folder / "out").rglob("areas.csv")
        )

    outcome, report = _kill_beside_camera("decode", count, seed, folder, options, encoded_since)
    faults = list(outcome.faults)
    for path in (folder / "out").rglob("areas.csv"):
        with path.open(newline="") as file:
            times = [float(row["seconds"]) for row in csv.DictReader(file)]
        if times != sorted(set(times)):
            faults.append("times do not increase")
    faults += [f"{name}: lost" for name, s in report.items() if s.get("failed")]
    return Outcome(done=outcome.done, faults=faults, counts=outcome.counts, values=outcome.values)


def kill_views(count: int, seed: int, folder: Path) -> Outcome:
    """Kill the process that serves the live view, and check that it answers again."""
    options = ["--sink", "areas", "--view-address", "127.0.0.1:0"]

    def answers(run: Background) -> Callable[[], bool]:
        address = run.address("live view")

        def ask() -> bool:
            with suppress(OSError), urllib.request.urlopen(f"{address}/healthz", timeout=5) as got:
                return bool(got.status == 200)
            return False

        return ask

    return _kill_beside_camera("view", count, seed, folder, options, answers)[0]


def kill_publishers(count: int, seed: int, folder: Path) -> Outcome:
    """Kill the process that publishes masks, and check that subscribers get masks again."""
    address = f"ipc://{folder}/masks"
    options = ["--sink", "publish", "--set", f"output.publish.address={address}"]
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.subscribe(b"")
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(address)

        def arrive(_run: Background) -> Callable[[], bool]:
            while socket.poll(0):
                socket.recv_multipart()
            return lambda: bool(socket.poll(0))

        return _kill_beside_camera("publish", count, seed, folder, options, arrive)[0]


def _kill_beside_camera(
    kind: str,
    count: int,
    seed: int,
    folder: Path,
    options: list[str],
    make_check: Callable[[Background], Callable[[], bool]],
) -> tuple[Outcome, dict[str, dict[str, object]]]:
    """Repeatedly kill a worker of a run on a camera, and check each time that it recovers.

    Args:
        kind: The kind of worker.
        count: The number of kills.
        seed: The seed of the moments.
        folder: The parent of the run's folder.
        options: The options of the run.
        make_check: A function that is called right after each kill, and returns the condition that
            must become true again.

    Returns:
        The outcome, and the streams of the run's report.
    """
    dice = random.Random(f"{kind} {seed}")
    out, waits, faults = folder / "out", list[float](), list[str]()
    words = ["run", _CAMERA, "-o", out, *WEIGHTS, *ANY_RESTARTS, *options]
    with Background(*words) as run:
        wait_for(lambda: bool(run.workers(kind)), f"a {kind} worker")
        wait_for(make_check(run), "the first result")
        while len(waits) < count and not faults:
            time.sleep(dice.uniform(0.0, 1.0))
            if not _kill_one(run, kind, dice):
                continue
            try:
                wait_for(lambda: bool(run.workers(kind)), f"a new {kind} worker")
                waits.append(wait_for(make_check(run), f"results after kill {len(waits) + 1}"))
            except TimeoutError as error:
                faults.append(f"{error}: {run.log[-500:]}")
        code = run.stop()
    report = read_report(out)
    streams: dict[str, dict[str, object]] = dict(report.get("streams", {}))
    if code not in (0, 128 + signal.SIGTERM):
        faults.append(f"exit code {code}: {run.log[-500:]}")
    faults += [f"{name}: accounts do not balance" for name, s in streams.items() if not s["closed"]]
    if not streams:
        faults.append("no report")
    outcome = Outcome(
        done=len(waits), faults=faults, counts={"runs": 1}, values={"seconds until back": waits}
    )
    return outcome, streams


def kill_services(count: int, seed: int, folder: Path) -> Outcome:
    """Kill the HTTP service during requests, and check that answers are whole masks or errors."""
    dice = random.Random(f"service {seed}")
    image, _ = Street(5, size=(120, 160)).render(0)
    body = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    before = set(os.listdir("/dev/shm"))
    masks, faults, waits, cut = set[bytes](), list[str](), list[float](), 0
    for _ in range(count):
        begin = time.monotonic()
        with Background("serve", *WEIGHTS, "--port", "0") as service:
            address = service.address("listening on")
            wait_for(partial(_is_ready, address), "a ready service")
            masks.add(_segment(address, body))
            waits.append(time.monotonic() - begin)
            deadline = time.monotonic() + dice.uniform(0.0, 0.5)
            timer = _kill_at(service, deadline)
            while service.process.poll() is None:
                try:
                    masks.add(_segment(address, body))
                except (OSError, HTTPException):
                    cut += 1
            timer.join()
    if len(masks) != 1:
        faults.append(f"{len(masks)} different masks for one image")
    if left := set(os.listdir("/dev/shm")) - before:
        faults.append(f"left in /dev/shm: {sorted(left)}")
    counts = {"requests cut off": cut}
    return Outcome(
        done=count, faults=faults, counts=counts, values={"seconds until the first mask": waits}
    )


def _is_ready(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{address}/v2/health/ready") as answer:
        return bool(answer.status == 200)
    return False


def _segment(address: str, body: bytes) -> bytes:
    request = urllib.request.Request(
        f"{address}/segment", data=body, headers={"Content-Type": "image/jpeg"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def _kill_at(service: Background, moment: float) -> Timer:
    timer = Timer(max(0.0, moment - time.monotonic()), service.process.kill)
    timer.start()
    return timer


def _kills(kind: str, what: str) -> Trial:
    return Trial(
        name=f"kills-{kind}",
        promise=f"Killing the {kind} worker costs nothing: {what}. Only what five in a row are"
        " killed at, a frame or the preparation for a size, is given up, and counted.",
        unit="kills",
        target=200,
        portion=40,
        run=partial(kill_in_recordings, kind),
    )


_SAME = "every file of results is the same, byte for byte"
TRIALS = (
    *(_kills(kind, _SAME) for kind in ("decode", "preprocess", "segment", "encode")),
    Trial(
        name="kills-live-decode",
        promise="A camera's decode worker is replaced when it is killed: frames arrive again, their"
        " times keep increasing, and the accounts balance.",
        unit="kills",
        target=200,
        portion=40,
        run=kill_live_decoders,
    ),
    Trial(
        name="kills-view",
        promise="After the view is killed, another answers at the same address. The run goes on.",
        unit="kills",
        target=200,
        portion=40,
        run=kill_views,
    ),
    Trial(
        name="kills-publish",
        promise="After the publisher is killed, it is replaced, and subscribers get masks again.",
        unit="kills",
        target=200,
        portion=40,
        run=kill_publishers,
    ),
    Trial(
        name="kills-service",
        promise="A service that is killed never returned a partial or a different mask. It leaves"
        " nothing behind, and can be started again.",
        unit="kills",
        target=200,
        portion=20,
        run=kill_services,
    ),
)
