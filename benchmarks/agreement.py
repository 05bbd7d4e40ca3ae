"""Measure how far lower precisions agree with fp32, on rendered streets that training never saw.

    python benchmarks/agreement.py model/weights/streets.safetensors --write

With --write the figures go into the checkpoint's header, where `--precision auto` looks for them.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from icstream.model import Agreement, Checkpoint, Segmenter
from icstream.model.runtimes import cpu_does_bf16
from icstream.stages.confusion import Confusion
from icstream.stages.streets import Street

FIRST_SEED = 40_000
NUM_STREETS = 40


def measure(checkpoint: Checkpoint, precision: str) -> Agreement:
    """Compares OpenVINO in that precision with OpenVINO in fp32, on the CPU."""
    fp32, lower = (
        Segmenter(checkpoint, runtime="openvino", device="cpu", precision=p)  # type: ignore[arg-type]
        for p in ("fp32", precision)
    )
    confusions = Confusion(len(checkpoint.labels)), Confusion(len(checkpoint.labels))
    same = []
    for seed in range(FIRST_SEED, FIRST_SEED + NUM_STREETS):
        picture, truth = Street(seed).render(float(seed % 50))
        ids = fp32(picture), lower(picture)
        same.append(float((ids[0] == ids[1]).mean()))
        for confusion, mask in zip(confusions, ids, strict=True):
            confusion.add(mask, truth)
    points = 100 * (confusions[1].miou() - confusions[0].miou())
    print(
        f"{precision}: same class on {100 * np.mean(same):.3f} % of pixels (worst frame"
        f" {100 * min(same):.2f} %), mIoU {100 * confusions[1].miou():.2f} % against"
        f" {100 * confusions[0].miou():.2f} % in fp32"
    )
    where = f"{NUM_STREETS} rendered streets, OpenVINO on a CPU"
    return Agreement(round(float(np.mean(same)), 5), round(points, 3), where)


def main() -> None:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="Measure the agreement of lower precisions.")
    parser.add_argument("file", type=Path, help="checkpoint")
    parser.add_argument("--write", action="store_true", help="keep it in the checkpoint")
    options = parser.parse_args()
    checkpoint = Checkpoint.load(options.file)
    if not cpu_does_bf16():
        parser.error("this processor has no bf16 instructions: there is nothing to measure")
    measured = {"bf16": measure(checkpoint, "bf16")}
    if options.write:
        replace(checkpoint, agreement={**checkpoint.agreement, **measured}).save(options.file)


if __name__ == "__main__":
    main()
