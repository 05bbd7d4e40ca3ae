"""Batches: the order of an epoch, what it does not depend on, and samples that fail."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from icstream.model import ConfigError, Fit
from icstream.stages.data import VOID, Sample
from icstream.stages.train import Augmentation, TrainSettings
from icstream.stages.train.data_loading import (
    Batch,
    TrainBatches,
    TrainViews,
    ValidationViews,
    epoch_order,
    validation_batches,
)
from support.stripes import Stripes

MEAN = (124, 117, 104)
SETTINGS = TrainSettings(
    epochs=2,
    batch_train=4,
    workers_train=0,
    input_size=(65, 65),
    augmentation=Augmentation(rotation_degrees=5, color=0.3),
)


def batches(
    settings: TrainSettings = SETTINGS, *, rank: int = 0, ranks: int = 1, count: int = 10
) -> TrainBatches:
    samples = tuple(Stripes(i) for i in range(count))
    views = TrainViews(samples, settings, Fit(), MEAN)
    return TrainBatches(
        views=views,
        num_samples=count,
        settings=settings,
        mean_color=MEAN,
        rank=rank,
        ranks=ranks,
    )


def epoch(made: TrainBatches, number: int) -> list[Batch]:
    per_epoch = made.steps_per_epoch
    return list(islice(made.batches(number * per_epoch), per_epoch))


def same(one: list[Batch], two: list[Batch]) -> bool:
    return len(one) == len(two) and all(
        torch.equal(a.rgb_NHW3, b.rgb_NHW3) and torch.equal(a.ids_NHW, b.ids_NHW)
        for a, b in zip(one, two, strict=True)
    )


def test_an_epoch_shows_every_sample_once_in_an_order_of_its_own() -> None:
    orders = [epoch_order(50, seed=3, epoch=e).tolist() for e in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert epoch_order(50, seed=3, epoch=1).tolist() == orders[1]
    assert epoch_order(50, seed=4, epoch=1).tolist() != orders[1]


def test_the_last_batch_is_kept_though_smaller() -> None:
    made = epoch(batches(), 0)
    assert [len(batch.ids_NHW) for batch in made] == [4, 4, 2]
    assert batches().num_steps == 6


@pytest.mark.parametrize("workers", [1, 3])
def test_loader_processes_change_no_pixel(workers: int) -> None:
    alone = list(batches().batches(0))
    assert same(alone, list(batches(replace(SETTINGS, workers_train=workers)).batches(0)))


@pytest.mark.parametrize("step", [0, 1, 3, 4, 5, 6])
def test_a_training_can_be_entered_anywhere(step: int) -> None:
    assert same(list(batches().batches(0))[step:], list(batches().batches(step)))


def test_ranks_share_an_epoch_evenly() -> None:
    seen: Counter[int] = Counter()
    for rank in range(3):
        order = epoch_order(10, seed=0, epoch=0, ranks=3)[rank::3]
        assert len(order) == 4
        seen.update(order.tolist())
    assert set(seen) == set(range(10))
    assert max(seen.values()) == 2
    sizes = {len(epoch(batches(rank=rank, ranks=3), 0)) for rank in range(3)}
    assert sizes == {1}


def test_whole_images_come_in_the_last_share_of_the_steps() -> None:
    augmentation = replace(SETTINGS.augmentation or Augmentation(), whole_frames_share=0.5)
    made = batches(replace(SETTINGS, augmentation=augmentation))
    assert all(batch.ids_NHW.shape[1:] == (65, 65) for batch in epoch(made, 0))
    assert all(batch.ids_NHW.shape[1:] == (97, 129) for batch in epoch(made, 1))


def test_images_of_several_sizes_share_a_batch() -> None:
    settings = replace(
        SETTINGS, batch_train=2, augmentation=Augmentation(whole_frames_share=1, flip=False)
    )
    samples: tuple[Sample, ...] = (Stripes(0, (80, 100)), Stripes(1, (150, 70)))
    views = TrainViews(samples, settings, Fit(), MEAN)
    made = TrainBatches(views=views, num_samples=2, settings=settings, mean_color=MEAN)
    (batch,) = epoch(made, 0)
    assert batch.ids_NHW.shape == (2, 161, 129)
    known = (batch.ids_NHW != VOID).sum((1, 2)).tolist()
    assert sorted(known) == sorted([78 * 100, 148 * 70])


def test_a_sample_that_fails_is_named_and_another_takes_its_place() -> None:
    samples: tuple[Sample, ...] = (Stripes(0, corrupted=True), *(Stripes(i) for i in range(1, 5)))
    views = TrainViews(samples, SETTINGS, Fit(), MEAN)
    made = TrainBatches(views=views, num_samples=5, settings=SETTINGS, mean_color=MEAN)
    failures: dict[str, str] = {}
    sizes = []
    for batch in epoch(made, 0):
        failures |= batch.failures
        sizes.append(len(batch.ids_NHW))
    assert failures == {"stripes 0": "stripes 0: cannot be read"}
    assert sizes == [4, 1]


def test_when_nothing_can_be_read_it_ends() -> None:
    samples: tuple[Sample, ...] = (Stripes(0, corrupted=True),)
    views = TrainViews(samples, SETTINGS, Fit(), MEAN)
    made = TrainBatches(views=views, num_samples=1, settings=SETTINGS, mean_color=MEAN)
    with pytest.raises(ConfigError, match="in a row could not be used"):
        epoch(made, 0)


def test_validation_shows_each_sample_once_and_names_failures() -> None:
    samples: tuple[Sample, ...] = (
        *(Stripes(i) for i in range(3)),
        Stripes(3, (150, 70)),
        Stripes(4, corrupted=True),
        Stripes(5),
    )
    views = ValidationViews(samples, Fit(), MEAN)
    made = list(validation_batches(views, batch=2, workers=0))
    assert {"stripes 4": "stripes 4: cannot be read"} in made
    names = [[fitted.name for fitted in batch] for batch in made if not isinstance(batch, dict)]
    assert names == [["stripes 0", "stripes 1"], ["stripes 2"], ["stripes 3"], ["stripes 5"]]
    shared = [
        fitted.name
        for rank in range(2)
        for batch in validation_batches(views, batch=2, workers=0, rank=rank, ranks=2)
        if not isinstance(batch, dict)
        for fitted in batch
    ]
    assert sorted(shared) == sorted(name for group in names for name in group)
    assert np.unique(shared).size == 5
