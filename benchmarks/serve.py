"""Load test of `icstream serve` with good and broken requests, and comparison with a plain script.

python benchmarks/serve.py crowd --requests 10000
python benchmarks/serve.py speed drive.mp4 --weights camvid
python benchmarks/serve.py batches --weights camvid
"""

import argparse
import io
import itertools
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import av
import numpy as np
import urllib3
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from icstream.model import load_weights
from icstream.model.runtimes import open_runtime, select_runtime
from support.crowds import SentImage, ask_at_once
from support.images import FORMATS, encode, make_image
from support.runs import run_pipeline
from support.servers import Server

_CHUNK = 1000
_MAX_SIDE = 65


def make_images(folder: Path, number: int) -> list[SentImage]:
    """Return images of random sizes and formats with the masks of a run."""
    rng = np.random.default_rng(17)
    images, out = folder / "images", folder / "out"
    images.mkdir()
    for k in range(number):
        height, width = rng.integers(1, _MAX_SIDE + 1, 2)
        kind = FORMATS[k % len(FORMATS)]
        path = images / f"{k:03}.{kind.lower()}"
        path.write_bytes(encode(make_image(rng, int(height), int(width)), kind))
    assert run_pipeline(images, out, sinks=["png"], model__threads=1).exit_code == 0
    masks = out / images.name / "masks"
    return [
        SentImage(path.read_bytes(), np.array(Image.open(masks / f"{path.stem}.png")))
        for path in sorted(images.iterdir())
    ]


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def crowd(num_requests: int) -> None:
    """Send good and broken requests from 32 clients, and check answers and memory."""
    with tempfile.TemporaryDirectory(prefix="icstream-serve-") as name:
        images = make_images(Path(name), 200)
        options = ("--weights", "streets", "--set", "model.warm_up_sizes=[60x40]")
        with Server(*options, "--set", "limits.requests=24") as server:
            server.wait_ready()
            for begin in range(0, num_requests, _CHUNK):
                started = time.monotonic()
                outcome = ask_at_once(server, images, num_requests=_CHUNK, seed=begin)
                rate = _CHUNK / (time.monotonic() - started)
                print(
                    f"{begin + _CHUNK:6} requests: {rate:5.0f}/s,"
                    f" good {dict(outcome.statuses['good'])},"
                    f" broken {dict(sorted(outcome.statuses['broken'].items()))},"
                    f" came back {outcome.num_retries} times,"
                    f" different {outcome.different}, lost {len(outcome.lost)},"
                    f" {memory_mb(server.process.pid):.0f} MB",
                    flush=True,
                )
            print(f"exit code {server.stop()}")


def batches(weights: str, rounds: int) -> None:
    """Compare the network on batches with single images, one after another and two at once."""
    checkpoint = load_weights(weights)
    geometry = checkpoint.fit.geometry((540, 960))
    inputs = np.random.default_rng(0).integers(0, 256, (8, *geometry.outer, 3), np.uint8)
    both = open_runtime(checkpoint, select_runtime(checkpoint, device="cpu", threads=2))
    single = [open_runtime(checkpoint, select_runtime(checkpoint, device="cpu")) for _ in range(2)]

    def in_batches(size: int) -> None:
        for begin in range(0, len(inputs), size):
            both.scores(inputs[begin : begin + size])

    def at_once() -> None:
        def work(number: int) -> None:
            for k in range(number, len(inputs), 2):
                single[number].scores(inputs[k : k + 1])

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(work, range(2)))

    ways: dict[str, Callable[[], None]] = {
        f"batches of {n}, 2 threads": partial(in_batches, n) for n in (1, 4, 8)
    }
    ways["2 at once, a thread each"] = at_once
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begun)
    first = next(iter(seconds.values()))
    for name, values in seconds.items():
        ratio = statistics.median(one / other for one, other in zip(first, values, strict=True))
        print(f"{name:26} {ratio:.2f} times the speed of the first")


def speed(
    source: Path,
    weights: str,
    num_clients: int,
    num_requests: int,
    rounds: int,
    options: list[str],
) -> None:
    """Send the same frames to both services in turn."""
    with av.open(source) as file:
        decoded = itertools.islice(file.decode(video=0), 40)
        frames = [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in decoded]
    height, width, _ = frames[0].shape
    bodies = [encode(frame, "JPEG") for frame in frames]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    plain = Path(__file__).with_name("serve_plain.py")
    process = subprocess.Popen([sys.executable, str(plain), weights, str(port)])
    try:
        warm = ("--set", f"model.warm_up_sizes=[{width}x{height}]")
        with Server("--weights", weights, *warm, *options) as server:
            server.wait_ready()
            addresses = {"plain": f"127.0.0.1:{port}", "icstream": server.address}
            for address in addresses.values():
                _ask_all(address, bodies, num_clients, num_clients)
            rates: dict[str, list[float]] = {name: [] for name in addresses}
            for _ in range(rounds):
                for name, address in addresses.items():
                    rates[name].append(_ask_all(address, bodies, num_clients, num_requests))
    finally:
        process.kill()
        process.wait()
    ratios = [ours / theirs for ours, theirs in zip(rates["icstream"], rates["plain"], strict=True)]
    for name, values in rates.items():
        print(f"{name:9} {statistics.median(values):6.1f} requests/s of {width}x{height} JPEGs")
    print(
        f"icstream / plain: {statistics.median(ratios):.2f}, {min(ratios):.2f}..{max(ratios):.2f}"
    )


def _ask_all(address: str, bodies: list[bytes], num_clients: int, num_requests: int) -> float:
    """Return the number of requests answered per second."""
    pool = urllib3.PoolManager(maxsize=num_clients)
    waiting = urllib3.Retry(total=60, connect=60, backoff_factor=0.5, backoff_max=1)

    def ask(number: int) -> None:
        reply = pool.request(
            "POST",
            f"http://{address}/segment",
            body=bodies[number % len(bodies)],
            headers={"Content-Type": "image/jpeg"},
            retries=waiting,
            timeout=120,
        )
        assert Image.open(io.BytesIO(reply.data)).mode == "P"

    begun = time.monotonic()
    with ThreadPoolExecutor(num_clients) as clients:
        list(clients.map(ask, range(num_requests)))
    return num_requests / (time.monotonic() - begun)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Load test of icstream serve.")
    commands = parser.add_subparsers(dest="what", required=True)
    many = commands.add_parser("crowd")
    many.add_argument("--requests", type=int, default=10_000)
    fast = commands.add_parser("speed")
    fast.add_argument("source", type=Path)
    fast.add_argument("--weights", default="camvid")
    fast.add_argument("--clients", type=int, default=4)
    fast.add_argument("--requests", type=int, default=100)
    fast.add_argument("--rounds", type=int, default=5)
    sizes = commands.add_parser("batches")
    sizes.add_argument("--weights", default="camvid")
    sizes.add_argument("--rounds", type=int, default=9)
    arguments, options = parser.parse_known_args()  # all other options are for icstream serve
    if arguments.what == "crowd":
        crowd(arguments.requests)
    elif arguments.what == "batches":
        batches(arguments.weights, arguments.rounds)
    else:
        speed(
            arguments.source,
            arguments.weights,
            arguments.clients,
            arguments.requests,
            arguments.rounds,
            options,
        )


if __name__ == "__main__":
    main()
