"""Adding up windows, and the network as a source of scores."""

import tracemalloc
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from icstream.model import CAMVID, Checkpoint, Fit, LabelSet, Segmenter, load_weights
from icstream.model.runtimes import select_runtime
from icstream.stages.annotate.crops import sliding
from icstream.stages.annotate.modes import MinOverlap, WindowSize
from icstream.stages.annotate.network import NetworkScores, has_background, label_classes
from icstream.stages.annotate.window_scores import probabilities, sum_windows, winners
from support.street_samples import street_sample


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_weights("streets")


def scores(
    checkpoint: Checkpoint, crops: list[NDArray[np.uint8]], batch: int = 1
) -> list[NDArray[np.float32]]:
    choice = select_runtime(checkpoint, runtime="torch", device="cpu", precision="fp32", threads=1)
    return list(NetworkScores(checkpoint, choice, batch=batch)(crops))


@pytest.mark.parametrize(
    ("size", "window", "overlap"),
    [((40, 60), (13, 17), (4, 9)), ((40, 60), (40, 60), (0, 0)), ((31, 20), (30, 7), (29, 6))],
)
def test_bands_are_the_dense_sums(
    size: tuple[int, int], window: tuple[int, int], overlap: tuple[int, int]
) -> None:
    windows = list(
        sliding(
            size,
            WindowSize(height=window[0], width=window[1]),
            MinOverlap(y=overlap[0], x=overlap[1]),
        )
    )
    random = np.random.default_rng(0)
    maps = [random.integers(0, 100, (3, *window)).astype(np.float64) for _ in windows]
    sums, counts = np.zeros((3, *size)), np.zeros(size, int)
    for place, values in zip(windows, maps, strict=True):
        sums[:, place.top : place.bottom, place.left : place.right] += values
        counts[place.top : place.bottom, place.left : place.right] += 1
    assert counts.min() >= 1, "every pixel is covered"
    got_sums, got_counts, row = np.zeros_like(sums), np.zeros_like(counts), 0
    for band in sum_windows(size, windows, maps):
        assert band.top == row
        row += len(band.counts_bW)
        got_sums[:, band.top : row] = band.scores_KbW
        got_counts[band.top : row] = band.counts_bW
    assert row == size[0]
    assert (got_sums == sums).all()
    assert (got_counts == counts).all()


def test_a_high_image_needs_no_more_than_a_row_of_windows() -> None:
    size, classes = (4000, 200), 12
    windows = list(sliding(size, WindowSize(height=50, width=100), MinOverlap(y=10)))
    one = np.full((classes, 50, 100), 1 / classes, np.float32)
    tracemalloc.start()
    for band in sum_windows(size, windows, (one for _ in windows)):
        assert band.scores_KbW.shape[2] == 200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = classes * size[0] * size[1] * 4
    assert peak < whole / 20


def test_ties_go_to_the_first_in_order() -> None:
    tied = np.full((3, 1, 1), 1 / 3)
    assert winners(tied, threshold=0)[0, 0] == 0
    assert winners(tied, threshold=0, order=[2, 1])[0, 0] == 2


def test_maps_of_another_size_are_interpolated_bicubically() -> None:
    small = np.random.default_rng(1).random((4, 9, 11)).astype(np.float32)
    small /= small.sum(0)
    got = probabilities(small, (20, 31), 4)
    # PyTorch's bicubic kernel has the same coefficient, -0.75, and the same pixel centers.
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(small)[None], (20, 31), mode="bicubic", align_corners=False
    )
    assert np.abs(got - wanted[0].numpy()).max() < 1e-5


@pytest.mark.slow
def test_masks_are_those_of_the_segmenter(checkpoint: Checkpoint) -> None:
    image = street_sample(0, size=(100, 141)).rgb_HW3
    (got,) = scores(checkpoint, [image])
    assert not got[0].any(), "these weights know no background"
    assert np.abs(got.sum(0) - 1).max() < 1e-5
    segmenter = Segmenter(checkpoint, runtime="torch", device="cpu", precision="fp32", threads=1)
    assert (winners(got, threshold=0) == segmenter(image) + 1).all()


def test_stretched_crops_give_scores_at_the_input_size(checkpoint: Checkpoint) -> None:
    stretched = Checkpoint(
        checkpoint.config,
        checkpoint.labels,
        checkpoint.tensors,
        preprocessing=checkpoint.preprocessing,
        fit=Fit("stretch", (97, 129)),
    )
    image = street_sample(0, size=(70, 80)).rgb_HW3
    (got,) = scores(stretched, [image])
    assert got.shape == (12, 97, 129)
    resized = cv2.resize(image, (129, 97), interpolation=cv2.INTER_LINEAR)
    (native,) = scores(checkpoint, [np.asarray(resized, np.uint8)])
    assert (got == native).all()


def test_batches_change_nothing_but_rounding(checkpoint: Checkpoint) -> None:
    image = street_sample(1, size=(96, 160)).rgb_HW3
    crops = [image[:, x : x + 65] for x in (0, 30, 60)] + [image[:40, :70]]
    alone = scores(checkpoint, crops)
    together = scores(checkpoint, crops, batch=2)
    for one, other, crop in zip(alone, together, crops, strict=True):
        assert one.shape[1:] == crop.shape[:2]
        assert np.abs(one - other).max() < 1e-4


def test_the_first_class_is_background_by_its_name() -> None:
    assert not has_background(CAMVID)
    colors = [(0, 0, 0), (1, 1, 1)]
    for name in ("background", "Unlabelled", "unlabelled 2"):
        labels = LabelSet.from_values(list(zip((name, "road"), colors, strict=True)))
        assert label_classes(labels) == [("road", (1, 1, 1))]
    assert len(label_classes(CAMVID)) == 11
