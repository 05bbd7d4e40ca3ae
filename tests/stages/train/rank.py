"""One rank of a few trainings, for `test_ranks`: torchrun rank.py FOLDER CASE..."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from icstream.model import ConfigError
from icstream.stages.train import Trained, TrainSettings, train_network
from icstream.stages.train.ranks import Ranks, join_ranks, leave_ranks
from support.stripes import Stripes, stripes_data
from support.trainings import RECIPE, SMALL_BATCHES, Silent


def main(folder: Path, cases: list[str]) -> None:
    torch.set_num_threads(1)
    ranks = join_ranks((0,))
    for case in cases:
        found = train_case(ranks, folder / case.removesuffix("-resume"), case)
        (folder / f"{case}.rank{ranks.rank}.json").write_text(json.dumps(found))
    leave_ranks(ranks)


def train_case(ranks: Ranks, folder: Path, case: str) -> dict[str, Any]:
    display = Silent(stop_at=3 if case == "norm-stop" and ranks.rank == 1 else None)
    found: dict[str, Any] = {}
    try:
        result = once(ranks, folder, case, display)
        if result.validation is not None:
            found["validation"] = result.validation.values(result.labels)
    except ConfigError as error:
        found["error"] = str(error)
    return {**found, "losses": display.losses}


def once(ranks: Ranks, folder: Path, case: str, display: Silent) -> Trained:
    data = stripes_data(num_train=8)
    settings: TrainSettings = SMALL_BATCHES
    if case == "corrupted":
        settings = replace(settings, allow_corrupted_train=1)
        train_split = tuple(Stripes(i, corrupted=i in (2, 5)) for i in range(8))
        data = replace(data, splits={**data.splits, "train": train_split})
    elif case.startswith("norm"):
        settings = replace(RECIPE, batch_train=2)
    folder.mkdir(exist_ok=True)
    return train_network(
        settings,
        data,
        folder,
        ranks=ranks,
        start=None,
        resume=case.endswith("-resume"),
        record={},
        display=display,
        should_stop=display.should_stop,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
