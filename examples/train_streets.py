"""Train a small ICNet on rendered streets, from nothing to a checkpoint file.

    python examples/train_streets.py streets.safetensors --minutes 20

This is how the shipped `streets` weights were made. Every step draws new scenes, so there is no
training set to fit too closely; the score it prints comes from streets that are never trained on.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from icstream.model import CAMVID, Checkpoint, ICNet, ICNetConfig, Preprocessing
from icstream.model.icnet import full_size, initialise
from icstream.stages.confusion import Confusion
from icstream.stages.streets import Street

SIZE = (361, 481)
TRAIN_SEEDS = 10_000
"""Streets below this seed are for training; the demo and the tests look at others."""
FRAMES_PER_STREET = 4
Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def render(seed: int, *, first: int = 0) -> Batch:
    """Gives a few views of one street: (n, H, W, 3) RGB and (n, H, W) ids."""
    street = Street(first + seed, size=SIZE)
    times = np.random.default_rng(seed).uniform(0, 60, FRAMES_PER_STREET)
    views = [street.render(float(t)) for t in times]
    return np.stack([rgb for rgb, _ in views]), np.stack([ids for _, ids in views])


def rendered(workers: ProcessPoolExecutor, num_batches: int) -> Iterator[Batch]:
    """Gives batches of two streets each, rendered ahead by the workers."""
    seeds = np.random.default_rng(0).integers(0, TRAIN_SEEDS, (num_batches, 2))
    ahead = []
    for pair in seeds.tolist():
        ahead.append([workers.submit(render, seed) for seed in pair])
        if len(ahead) > 3:
            done = [future.result() for future in ahead.pop(0)]
            yield np.concatenate([rgb for rgb, _ in done]), np.concatenate([i for _, i in done])


def as_input(rgb_NHW3: NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """Gives the network's (N, 3, H, W) float input."""
    x_NHW3 = torch.from_numpy(rgb_NHW3).float() - torch.tensor(preprocessing.mean_rgb)
    return x_NHW3.flip(-1).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def guided_loss(model: ICNet, x_NCHW: Tensor, truth_NHW: Tensor, weights_K: Tensor) -> Tensor:
    """Gives the label-guided loss, with logits brought to the size of the labels."""
    logits = model.branch_logits(x_NCHW)
    size = truth_NHW.shape[-2:]
    losses = [
        F.cross_entropy(full_size(branch.float(), factor, size), truth_NHW, weights_K)
        for branch, factor in ((logits.sub124, 4), (logits.sub24, 8), (logits.sub4, 16))
    ]
    return losses[0] + 0.4 * losses[1] + 0.16 * losses[2]


@torch.inference_mode()
def evaluate(model: ICNet, preprocessing: Preprocessing) -> Confusion:
    """Counts over ten streets that training never sees."""
    model.eval()
    confusion = Confusion(len(CAMVID))
    for seed in range(10):
        rgb_NHW3, truth_NHW = render(seed, first=TRAIN_SEEDS)
        ids_NHW = model(as_input(rgb_NHW3, preprocessing)).argmax(1).to(torch.uint8).numpy()
        confusion.add(ids_NHW, truth_NHW)
    model.train()
    return confusion


def train(file: Path, *, minutes: float, width: float, max_steps: int, threads: int) -> None:
    """Trains until the time is up or the steps are done, then writes the checkpoint."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    model = ICNet(ICNetConfig(num_classes=len(CAMVID), width=width))
    initialise(model, seed=0)
    model.train().to(memory_format=torch.channels_last)
    preprocessing = Preprocessing()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
    frequency_K = np.bincount(
        np.concatenate([render(seed)[1].ravel() for seed in range(8)]), minlength=len(CAMVID)
    )
    share_K = torch.from_numpy(frequency_K / frequency_K.sum())
    weights_K = (1 / torch.log(1.1 + share_K)).float()
    begin, step = time.monotonic(), 0
    with ProcessPoolExecutor(max_workers=1) as workers:
        for rgb_NHW3, truth_NHW in rendered(workers, max_steps + 3):
            progress = max((time.monotonic() - begin) / (60 * minutes), step / max_steps)
            if progress >= 1:
                break
            warm_up = min(1.0, (step + 1) / 50)
            for group in optimiser.param_groups:
                group["lr"] = 4e-3 * warm_up * (1 - progress) ** 0.9
            truth = torch.from_numpy(truth_NHW).long()
            with torch.autocast("cpu", torch.bfloat16):
                loss = guided_loss(model, as_input(rgb_NHW3, preprocessing), truth, weights_K)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
            if step % 50 == 0:
                print(f"step {step}: loss {loss.item():.3f}, {100 * progress:.0f} %", flush=True)
    confusion = evaluate(model, preprocessing)
    print(f"mIoU {confusion.miou():.4f}, pixel accuracy {confusion.pixel_accuracy():.4f}")
    training = {"data": "rendered streets", "steps": step, "size": list(SIZE), "seed": 0}
    checkpoint = Checkpoint.of(model, CAMVID, training=training)
    half = {name: tensor.half() for name, tensor in checkpoint.tensors.items()}
    replace(checkpoint, tensors=half).save(file)


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description="Train a small ICNet on rendered streets.")
    parser.add_argument("file", type=Path, help="checkpoint to write")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--max-steps", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    train(
        options.file,
        minutes=options.minutes,
        width=options.width,
        max_steps=options.max_steps,
        threads=options.threads,
    )


if __name__ == "__main__":
    main()
