"""Time the network alone: every available runtime and precision against plain PyTorch.

    python benchmarks/engines.py --size 540x960

"plain" is a simple script: the original graph in eager fp32, logits at full size, argmax. All
others are `Segmenter`, from uint8 images to class ids; int8 only for calibrated weights.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model import Checkpoint, Segmenter, load_weights
from icstream.model.runtimes import cpu_does_bf16
from icstream.stages.streets import Street

Image = NDArray[np.uint8]
Engine = Callable[[Image], Image]


def plain(checkpoint: Checkpoint, threads: int) -> Engine:
    """Return the plain engine."""
    torch.set_num_threads(threads)
    model = checkpoint.build()
    mean = np.asarray(checkpoint.preprocessing.mean_rgb, np.float32)

    @torch.inference_mode()
    def run(image: Image) -> Image:
        x_3HW = (image.astype(np.float32) - mean)[..., ::-1].transpose(2, 0, 1)
        logits_NKHW = model(torch.from_numpy(np.ascontiguousarray(x_3HW))[None])
        return np.asarray(logits_NKHW[0].numpy().argmax(0), np.uint8)

    return run


def open_engines(checkpoint: Checkpoint, threads: int) -> dict[str, Engine]:
    """Return all engines of this machine, by name."""
    found: dict[str, Engine] = {"plain": plain(checkpoint, threads)}
    half = ["fp32", "bf16"] if cpu_does_bf16() else ["fp32"]
    able = {"torch": half, "openvino": list(half)}
    if checkpoint.ranges is not None:
        able["openvino"].append("int8")
    if find_spec("onnxruntime") is not None:
        able["onnx"] = ["fp32"]
    for runtime, precisions in able.items():
        for precision in precisions:
            found[f"{runtime} {precision}"] = Segmenter(
                checkpoint,
                runtime=runtime,  # type: ignore[arg-type]
                device="cpu",
                precision=precision,  # type: ignore[arg-type]
                threads=threads,
            )
    if torch.cuda.is_available():
        for precision in ("fp32", "fp16", "bf16"):
            found[f"cuda {precision}"] = Segmenter(
                checkpoint,
                device="cuda:0",
                precision=precision,  # type: ignore[arg-type]
            )
    return found


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Time the network alone.")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--size", default="540x960", help="HEIGHTxWIDTH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    height, width = (int(side) for side in options.size.split("x"))
    image, _ = Street(0, size=(height, width)).render(1.0)
    checkpoint = load_weights(options.weights)
    found = open_engines(checkpoint, options.threads)
    reference = found["plain"](image)
    agreement = {name: float((run(image) == reference).mean()) for name, run in found.items()}
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(options.rounds):
        for name, run in found.items():
            start = time.perf_counter()
            run(image)
            times[name].append(time.perf_counter() - start)
    base = statistics.median(times["plain"])
    print(f"{options.size}, {options.weights} weights, {options.threads} threads")
    for name, values in times.items():
        median = statistics.median(values)
        low, high = min(values), max(values)
        print(
            f"{name:14} {1e3 * median:8.1f} ms  ({1e3 * low:.1f} to {1e3 * high:.1f})"
            f"  x{base / median:.2f}  same ids {100 * agreement[name]:.3f} %"
        )


if __name__ == "__main__":
    main()
