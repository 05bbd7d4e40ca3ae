"""When a place is given up at which workers are lost, and when giving up is no progress."""

import pytest

from icstream.pipeline.hub.losses import (
    FruitlessRestarts,
    Losses,
    LossesInOrder,
    Surrenders,
    UnusableSizes,
)
from icstream.pipeline.hub.worker import Worker


def new_worker() -> Worker:
    return Worker("encode", "encode drive", b"name")


@pytest.mark.parametrize(
    ("crashes", "kills", "is_suspect", "are_too_many"),
    [
        (1, 0, False, False),
        (0, 1, False, False),
        (2, 0, True, False),
        (1, 1, True, False),
        (3, 0, True, True),
        (0, 4, True, False),
        (0, 5, True, True),
        (2, 3, True, True),
    ],
)
def test_crashes_weigh_more_than_kills(
    crashes: int, kills: int, is_suspect: bool, are_too_many: bool
) -> None:
    losses = Losses()
    for _ in range(crashes):
        losses.add(crashed=True)
    for _ in range(kills):
        losses.add(crashed=False)
    assert (losses.is_suspect, losses.are_too_many) == (is_suspect, are_too_many)


def test_losses_at_one_place_do_not_count_for_another() -> None:
    losses = LossesInOrder()
    assert not losses.calls_for_caution(0)
    for _ in range(2):
        losses.add(3, crashed=True)
    assert not losses.add(4, crashed=True).is_suspect
    assert [place for place in range(30) if losses.calls_for_caution(place)] == list(range(20))


def test_restarts_in_a_row_are_counted_however_long_they_take() -> None:
    restarts = FruitlessRestarts()
    assert [restarts.add(new_worker()) for _ in range(3)] == [1, 2, 3]
    fruitful = new_worker()
    fruitful.gain()
    assert [restarts.add(worker) for worker in (fruitful, new_worker())] == [1, 2]


def test_a_stream_in_which_one_place_after_another_is_given_up_comes_to_an_end() -> None:
    surrenders, restarts = Surrenders(), FruitlessRestarts()
    counts = []
    for _ in range(10):
        worker = new_worker()
        surrenders.add(worker)
        counts.append(restarts.add(worker))
    assert counts == [1, 1, 1, 1, 2, 3, 4, 5, 6, 7]
    surrenders.clear()
    worker = new_worker()
    surrenders.add(worker)
    assert restarts.add(worker) == 1


def test_a_size_with_which_a_worker_came_through_is_never_given_up() -> None:
    sizes = UnusableSizes()
    sizes.note_used((64, 96))
    for size in ((64, 96), (4000, 4000)):
        sizes.note_failed(size, new_worker())
        sizes.note_failed(size, new_worker())
    assert (64, 96) not in sizes
    assert (4000, 4000) in sizes
