"""Compare the trainer with a plain loop around the same network, on the same images.

    python benchmarks/training.py

Both train in bf16 on crops of 353x481 from images of 360x480, batch 8. The plain loop neither
decodes nor augments: it repeats one batch in memory.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from icstream.model import CAMVID, ICNet, ICNetConfig
from icstream.model.icnet import initialize
from icstream.model.loss import GuidedLoss
from icstream.stages.data import VOID, LabeledData, LabeledImage, Sample
from icstream.stages.streets import Street
from icstream.stages.train import (
    Augmentation,
    Optimizer,
    PolySchedule,
    TrainSettings,
    train_network,
)
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.validate import Validation

BATCH = 8
CROP = (353, 481)


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """A sample of a rendered street in memory."""

    name: str
    image: LabeledImage

    def load(self) -> LabeledImage:
        """Return the image."""
        return self.image


class Stopwatch:
    """A display that records the time of each step."""

    def __init__(self, num_steps: int) -> None:
        self.times: list[float] = []
        self._num_steps = num_steps

    def step(self, _step: int, _num_steps: int, _loss: float, _lr: float) -> None:
        """Implement `Display.step`."""
        self.times.append(time.perf_counter())

    def validation(self, epoch: float, validation: Validation, *, best: bool) -> None:
        """Implement `Display.validation`."""

    def should_stop(self) -> bool:
        """Return whether there are enough steps."""
        return len(self.times) > self._num_steps

    def seconds(self) -> list[float]:
        """Return the duration of each step but the first."""
        return np.diff(self.times).tolist()


def trainer_steps(data: LabeledData, num_steps: int) -> list[float]:
    """Return the seconds of each step of `train`, including everything."""
    settings = TrainSettings(
        epochs=1000,
        batch_train=BATCH,
        workers_train=1,
        input_size=CROP,
        val_every=1000,
        lr=1e-3,
        optimizer=Optimizer(name="adamw", weight_decay=0.01),
        schedule=PolySchedule(),
        augmentation=Augmentation(rotation_degrees=5, color=0.4),
        variant="paper",
        label_guidance="shrunk",
        ema=0.999,
        precision="bf16",
    )
    watch = Stopwatch(num_steps)
    with tempfile.TemporaryDirectory() as folder:
        train_network(
            settings,
            data,
            Path(folder),
            ranks=Ranks(rank=0, count=1, device=torch.device("cpu")),
            start=None,
            resume=False,
            record={},
            display=watch,
            should_stop=watch.should_stop,
        )
    return watch.seconds()


def plain_steps(data: LabeledData) -> Callable[[int], list[float]]:
    """Return a function that runs steps of a plain loop and returns the seconds of each."""
    model = ICNet(ICNetConfig(num_classes=len(CAMVID)))
    initialize(model, seed=0)
    model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = [sample.load() for sample in data.split("train")[:BATCH]]
    rgb_NHW3 = np.stack([p.rgb_HW3[: CROP[0], : CROP[1]] for p in images])
    x_NCHW = torch.from_numpy(rgb_NHW3).float().permute(0, 3, 1, 2) - 117
    ids_NHW = torch.from_numpy(np.stack([p.ids_HW[: CROP[0], : CROP[1]] for p in images]))
    loss = GuidedLoss(void=VOID, guidance="shrunk")

    def steps(num_steps: int) -> list[float]:
        seconds = []
        for _ in range(num_steps):
            begun = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16):
                logits = model.branch_logits(x_NCHW)
            total, _ = loss(logits, ids_NHW)
            optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            seconds.append(time.perf_counter() - begun)
        return seconds

    return steps


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Compare the trainer with a plain loop.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="per round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    samples: list[Sample] = [
        InMemory(str(seed), LabeledImage(*Street(seed, size=(360, 482)).render(1.0)))
        for seed in range(32)
    ]
    splits = {"train": tuple(samples), "val": tuple(samples[:1])}
    data = LabeledData("rendered streets", "folder", CAMVID, splits)
    plain = plain_steps(data)
    plain(2)
    ours, theirs = [], []
    for _ in range(options.rounds):
        theirs.append(median(plain(options.steps)))
        ours.append(median(trainer_steps(data, options.steps)))
    for name, rounds in (("plain loop", theirs), ("trainer", ours)):
        rates = sorted(BATCH / seconds for seconds in rounds)
        print(
            f"{name:<11} {median(rates):5.1f} images/s"
            f" ({rates[0]:.1f} to {rates[-1]:.1f}), {options.threads} threads"
        )
    print(f"trainer / plain loop: {median(theirs) / median(ours):.2f}")


if __name__ == "__main__":
    main()
