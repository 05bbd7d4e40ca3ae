"""Render streets with exact labels into a folder for `icstream train`.

    python examples/render_streets.py streets --train 1600 --val 100
    icstream train train_streets --data streets -o runs/streets --init camvid

Streets for validation have other seeds, so that none of them is used for training.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from icstream.model import CAMVID
from icstream.stages.streets import Street

SIZE = (360, 480)
FIRST_SEED = {"train": 0, "val": 10_000}
"""The first seed of each split; seeds from 20,000 are those of the demo and the tests."""


def render(folder: Path, seed: int) -> str:
    """Write one view of one street, and return its name."""
    name = f"street_{seed:05d}"
    moment = float(np.random.default_rng(seed).uniform(0, 60))
    rgb_HW3, ids_HW = Street(seed, size=SIZE).render(moment)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), rgb_HW3[..., ::-1])
    cv2.imwrite(str(folder / "labels" / f"{name}.png"), ids_HW)
    return name


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(description="Render streets with their labels.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=1600, help="images to train on")
    parser.add_argument("--val", type=int, default=100, help="images to validate on")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for part in ("images", "labels"):
        (options.folder / part).mkdir(parents=True, exist_ok=True)
    classes = list(zip(CAMVID.names, CAMVID.colors, strict=True))
    (options.folder / "classes.json").write_text(json.dumps(classes))
    with ProcessPoolExecutor(options.workers) as pool:
        for split, count in (("train", options.train), ("val", options.val)):
            seeds = range(FIRST_SEED[split], FIRST_SEED[split] + count)
            names = pool.map(partial(render, options.folder), seeds, chunksize=16)
            (options.folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


if __name__ == "__main__":
    main()
