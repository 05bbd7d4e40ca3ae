"""Time the transfer of a frame between two processes, by transport.

python benchmarks/transport.py

The sender writes every byte of a frame, the receiver reads one byte of every cache line. Costs are
those of both processes together, minus those of the same work without sending.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from fractions import Fraction
from multiprocessing.connection import Connection

import numpy as np

from icstream.pipeline.wire.frames import SlotSpace, unpack_frame
from icstream.pipeline.wire.messages import Connected, Finish, WireFrame, Work
from icstream.pipeline.wire.shared_memory import Arena, ArenaView
from icstream.pipeline.wire.sockets import HubSocket, WorkerLink
from icstream.stages import FrameMeta

SIZES = ((540, 960), (1024, 2048))
DEPTH = 2
"""The number of frames in transit."""


def receive(endpoint: str, arena_fd: int | None, result: Connection) -> None:
    """Read frames until the end, then report the CPU time."""
    memory = None if arena_fd is None else ArenaView(arena_fd)
    link = WorkerLink(endpoint, b"receiver")
    link.send(Connected())
    start = time.process_time()
    while True:
        got = link.receive(10)
        assert got is not None
        body, payload = got
        if isinstance(body, Finish):
            break
        image = unpack_frame(body.frame, payload, memory).image
        assert image is not None
        touch(image)
        link.send(Connected())
    result.send(time.process_time() - start)


def touch(image: np.ndarray) -> int:
    """Read every cache line."""
    return int(image.reshape(-1)[::64].sum())


def measure(transport: str, size: tuple[int, int], num_frames: int) -> tuple[float, float]:
    """Return the wall time and CPU time of both ends, in milliseconds per frame."""
    meta = FrameMeta("s", 0, 0, Fraction(1, 25), size)
    arena = Arena() if transport == "shm" else None
    places = [arena.take(3 * size[0] * size[1]) if arena else (0, 0) for _ in range(DEPTH)]
    space = SlotSpace(ArenaView(arena.fd) if arena else None)
    fresh = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="ics-") as folder:
        endpoint = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{folder}/hub"
        hub = HubSocket(endpoint)
        here, there = multiprocessing.Pipe()
        fd = None if arena is None else arena.fd
        # A forked process also has the shared memory open.
        context = multiprocessing.get_context("fork")
        process = context.Process(target=receive, args=(hub.endpoint, fd, there))
        process.start()
        await_one(hub)
        start, start_cpu, under_way = time.perf_counter(), time.process_time(), 0
        for number in range(num_frames):
            if under_way == DEPTH:
                await_one(hub)
                under_way -= 1
            space.begin(places[number % DEPTH])
            space.copy("image", fresh)
            arrays, payload = space.packed()
            hub.send(b"receiver", number, Work(WireFrame(meta, None, arrays)), payload)
            under_way += 1
        for _ in range(under_way):
            await_one(hub)
        wall, spent = time.perf_counter() - start, time.process_time() - start_cpu
        hub.send(b"receiver", num_frames, Finish())
        spent += here.recv()
        process.join(10)
        hub.close()
    if arena is not None:
        arena.close()
    return 1e3 * wall / num_frames, 1e3 * spent / num_frames


def await_one(hub: HubSocket) -> None:
    """Wait for a message."""
    while hub.receive() is None:
        hub.socket.poll(1000)


def alone(size: tuple[int, int], num_frames: int) -> float:
    """Return the CPU time of writing and reading without sending, per frame."""
    fresh = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    targets = [np.empty_like(fresh) for _ in range(DEPTH)]
    start = time.process_time()
    for number in range(num_frames):
        np.copyto(targets[number % DEPTH], fresh)
        touch(targets[number % DEPTH])
    return 1e3 * (time.process_time() - start) / num_frames


def main() -> None:
    """Parse the command line, measure turn by turn, and print medians."""
    parser = argparse.ArgumentParser(description="Time the transports.")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for size in SIZES:
        found: dict[str, list[tuple[float, float]]] = {"shm": [], "ipc": [], "tcp": []}
        bare = []
        for _ in range(options.rounds):
            bare.append(alone(size, options.frames))
            for transport, values in found.items():
                values.append(measure(transport, size, options.frames))
        work = statistics.median(bare)
        print(f"{size[1]}x{size[0]}, {3 * size[0] * size[1] / 1e6:.1f} MB; work alone {work:.2f}")
        for transport, values in found.items():
            wall = statistics.median(wall for wall, _ in values)
            spent = statistics.median(spent for _, spent in values)
            print(
                f"  {transport}: {wall:.2f} ms and {spent:.2f} core-ms per frame,"
                f" {spent - work:+.2f} core-ms for sending"
            )


if __name__ == "__main__":
    main()
