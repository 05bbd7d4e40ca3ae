"""Compare recipes by training on two of CamVid's drives and scoring on the third, in turn.

    python benchmarks/drives.py CAMVID --recipe train_camvid --recipe mine.yaml -o runs/drives

CamVid's validation frames come from a drive that is also in its training set; only a drive that was
left out measures performance on unseen roads. Recipes are compared by the mean over the three, with
an equal number of steps.

A recipe is a training configuration. Its length, splits and validations are replaced. Every
training starts from random weights, as the shipped ones were trained on all drives. Each has its
own folder in the output folder; finished ones are not repeated, interrupted ones are resumed.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, TypeAlias

from icstream.pipeline.cli.console import StopSignals, log_to_stderr
from icstream.pipeline.cli.train_progress import TrainProgress
from icstream.pipeline.offline.train import run_training
from icstream.pipeline.output import write_json
from icstream.pipeline.settings.train import TrainConfig, load_train_config
from icstream.stages.data import LabeledData, open_data, select_splits
from icstream.stages.train.state import STATE_FILE

DRIVES = ("0001TP", "0006R0", "0016E5")
"""The drives of CamVid, by the prefix of their frames' names."""
RESULT_FILE = "drive.json"
"""The file in the folder of a training with the scores on the drive that was left out."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: a recipe, a seed, and the drive that is left out."""

    recipe: str
    """The training configuration: a file, or the name of a preset."""
    seed: int
    """The seed of the training."""
    left_out: str
    """The drive to score on."""

    def folder(self, out: Path) -> Path:
        """Return the folder of the training."""
        return out / f"{Path(self.recipe).stem}-{self.seed}-without-{self.left_out}"

    def config(self, data: LabeledData, drives: Sequence[str], num_steps: int) -> TrainConfig:
        """Return the recipe with its length and splits replaced.

        The length is the number of whole epochs closest to `num_steps`.
        """
        train = [f"{drive}_*" for drive in drives if drive != self.left_out]
        num_samples = len(select_splits(data, {"train": train}).split("train"))
        batch = load_train_config(self.recipe).batch_size.train
        epochs = max(1, round(num_steps / -(-num_samples // batch)))
        return load_train_config(
            self.recipe,
            [
                f"seed={self.seed}",
                f"epochs={epochs}",
                f"val_every={epochs}",
                "checkpoint_every_steps=100",
                f"splits.train={json.dumps(train)}",
                f"splits.val={json.dumps([f'{self.left_out}_*'])}",
            ],
        )


def result_of(
    folder: Path, data_folder: Path, config: TrainConfig, *, threads: int, stop: StopSignals
) -> dict[str, Any] | None:
    """Return the scores on the drive that was left out, training first if there are none yet.

    The result is None if a signal stopped the training.
    """
    file = folder / RESULT_FILE
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if found["config"] != config.model_dump(mode="json"):
            sys.exit(f"{file}: has other settings or another length; choose another folder")
        return found
    print(f"{folder.name}: {config.epochs} epochs", file=sys.stderr, flush=True)
    with TrainProgress(quiet=False) as progress:
        trained = run_training(
            config,
            data_folder,
            folder,
            data_format="auto",
            init=None,
            resume=(folder / STATE_FILE).exists(),
            overwrite=False,
            threads=threads,
            display=progress,
            should_stop=stop.received,
        )
    if not trained.finished:
        return None
    assert trained.validation is not None
    values = {
        "config": config.model_dump(mode="json"),
        "steps": trained.steps,
        **trained.validation.values(trained.labels),
    }
    write_json(values, file)
    return values


Rows: TypeAlias = dict[tuple[str, int], list[dict[str, Any]]]
"""The results on each drive, by recipe and seed."""


def tables(results: dict[Trial, dict[str, Any]], drives: Sequence[str]) -> list[str]:
    """Return Markdown tables in percent with a row for each recipe and seed: mIoU, then classes.

    Rows without all drives are left out.
    """
    rows: Rows = {}
    for trial, result in results.items():
        rows.setdefault((trial.recipe, trial.seed), []).append(result)
    whole = {key: found for key, found in rows.items() if len(found) == len(drives)}
    return [*miou_table(whole, drives), "", *class_table(whole)]


def miou_table(rows: Rows, drives: Sequence[str]) -> list[str]:
    """Return the table of mIoU without each of the drives, and their mean."""
    lines = [
        f"| recipe | seed | steps | {' | '.join(f'without {d}' for d in drives)} | mean |",
        f"| --- | --- | --- |{' --- |' * (len(drives) + 1)}",
    ]
    for (recipe, seed), found in rows.items():
        steps = sorted({result["steps"] for result in found})
        length = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
        mious = [result["miou"] for result in found]
        cells = " | ".join(f"{100 * miou:.1f}" for miou in [*mious, mean(mious)])
        lines.append(f"| {Path(recipe).stem} | {seed} | {length} | {cells} |")
    return lines


def class_table(rows: Rows) -> list[str]:
    """Return the table of each class's IoU, as the mean over the drives."""
    names = list(dict.fromkeys(name for f in rows.values() for r in f for name in r["iou"]))
    lines = [
        f"| mean IoU over drives | {' | '.join(names)} |",
        f"| --- |{' --- |' * len(names)}",
    ]
    for (recipe, seed), found in rows.items():
        ious = [[r["iou"][name] for r in found if name in r["iou"]] for name in names]
        cells = " | ".join(f"{100 * mean(values):.1f}" if values else "-" for values in ious)
        lines.append(f"| {Path(recipe).stem}, seed {seed} | {cells} |")
    return lines


def main() -> int:
    """Parse the command line, train what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description="Train on two drives, score on the third.")
    parser.add_argument("data", type=Path, help="CamVid, as a folder of images and labels")
    parser.add_argument("--recipe", action="append", required=True, metavar="CONFIG")
    parser.add_argument("--steps", type=int, default=3000, help="steps of each training")
    parser.add_argument("--seed", action="append", type=int, metavar="N", help="0 if none is given")
    parser.add_argument("--drive", action="append", metavar="PREFIX", help="CamVid's if none is")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    log_to_stderr(quiet=False)
    drives = options.drive or DRIVES
    data = open_data(options.data)
    trials = [
        Trial(recipe, seed, left_out)
        for recipe in options.recipe
        for seed in options.seed or [0]
        for left_out in drives
    ]
    results: dict[Trial, dict[str, Any]] = {}
    with StopSignals() as stop:
        for trial in trials:
            config = trial.config(data, drives, options.steps)
            folder = trial.folder(options.out)
            found = result_of(folder, options.data, config, threads=options.threads, stop=stop)
            if found is None:
                return stop.exit_code()
            results[trial] = found
    print("\n".join(tables(results, drives)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
