"""Whole evaluations: against scikit-learn, and against counting pixel by pixel."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    jaccard_score,
    precision_score,
    recall_score,
)

from icstream.model import CAMVID, Checkpoint, ConfigError, Fit, LabelSet, Segmenter, load_weights
from icstream.stages.confusion import Confusion
from icstream.stages.data import SampleError
from icstream.stages.evaluate import evaluate_dataset
from icstream.stages.evaluate.exits import STEPS, Exits
from support.street_samples import InMemory, in_memory_data, street_sample


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_weights("streets")


@pytest.fixture(scope="module")
def segmenter(checkpoint: Checkpoint) -> Segmenter:
    return Segmenter(checkpoint, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def samples() -> list[InMemory]:
    return [*(street_sample(i) for i in range(3)), street_sample(3, size=(100, 141))]


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    num_classes, confusion = 9, Confusion(9)
    truths, masks = [], []
    for _ in range(3):
        size = tuple(random.integers(20, 60, 2))
        # Class 7 is predicted only, class 8 is in neither; 255 is void.
        truth = random.choice([0, 1, 2, 3, 4, 5, 6, 255], size).astype(np.uint8)
        mask = random.integers(0, 8, size).astype(np.uint8)
        mask = np.where(random.random(size) < 0.5, np.minimum(truth, 7), mask).astype(np.uint8)
        confusion.add(mask, truth)
        truths.append(truth[truth != 255])
        masks.append(mask[truth != 255])
    y = np.concatenate(truths), np.concatenate(masks)
    options: dict[str, Any] = {"labels": range(num_classes), "average": None, "zero_division": 0}
    assert (confusion.counts == confusion_matrix(*y, labels=range(num_classes))).all()
    assert confusion.pixel_accuracy() == pytest.approx(accuracy_score(*y))
    iou = jaccard_score(*y, **options)
    assert confusion.iou()[:8] == pytest.approx(iou[:8])
    assert confusion.iou()[7] == 0
    assert np.isnan(confusion.iou()[8])
    assert confusion.miou() == pytest.approx(iou[:8].mean())
    assert confusion.precision()[:8] == pytest.approx(precision_score(*y, **options)[:8])
    assert confusion.recall()[:7] == pytest.approx(recall_score(*y, **options)[:7])
    assert np.isnan(confusion.recall()[7:]).all()


def naive_counts(masks: list[Any], truths: list[Any]) -> NDArray[np.int64]:
    counts = np.zeros((11, 11), np.int64)
    for mask, truth in zip(masks, truths, strict=True):
        for y, x in product(*map(range, truth.shape)):
            if truth[y, x] != 255:
                counts[truth[y, x], mask[y, x]] += 1
    return counts


def naive_miou(counts: NDArray[np.int64]) -> float:
    union = [counts[k].sum() + counts[:, k].sum() - counts[k, k] for k in range(11)]
    return float(np.mean([counts[k, k] / union[k] for k in range(11) if union[k]]))


def test_an_evaluation_counts_every_pixel_once(
    segmenter: Segmenter, samples: list[InMemory]
) -> None:
    seen: list[tuple[int, int]] = []
    got = evaluate_dataset(
        segmenter, in_memory_data(samples), on_progress=lambda *progress: seen.append(progress)
    )
    masks = [segmenter(sample.rgb_HW3) for sample in samples]
    truths = [sample.ids_HW for sample in samples]
    counts = naive_counts(masks, truths)
    assert (got.confusion.counts == counts).all()
    assert got.confusion.miou() == pytest.approx(naive_miou(counts))
    assert 0.3 < got.confusion.miou() < 1
    alone = [naive_miou(naive_counts([m], [t])) for m, t in zip(masks, truths, strict=True)]
    assert [frame.miou for frame in got.frames] == pytest.approx(alone)
    assert [frame.name for frame in got.ranked()] == [f"street {i}" for i in np.argsort(alone)]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (got.digest, got.choice, got.exits) == (segmenter.digest, segmenter.choice, {})


def test_labels_in_another_order_give_the_same_figures(
    segmenter: Segmenter, samples: list[InMemory]
) -> None:
    usual = evaluate_dataset(segmenter, in_memory_data(samples))
    order = np.random.default_rng(0).permutation(11)
    table = np.full(256, 255, np.uint8)
    table[order] = np.arange(11)
    labels = LabelSet.from_values([(CAMVID.names[k].upper(), CAMVID.colors[k]) for k in order])
    turned = [InMemory(s.name, s.rgb_HW3, table[s.ids_HW]) for s in samples]
    got = evaluate_dataset(segmenter, in_memory_data(turned, labels))
    assert (got.confusion.counts == usual.confusion.counts[np.ix_(order, order)]).all()
    assert got.matching.notes


@pytest.mark.parametrize(
    "fit",
    [Fit(), Fit("stretch", (160, 256)), Fit("letterbox", (200, 250)), Fit(double_below=150)],
    ids=["native", "stretch", "letterbox", "doubled"],
)
def test_the_last_exit_is_the_segmenter_itself(
    checkpoint: Checkpoint, samples: list[InMemory], fit: Fit
) -> None:
    segmenter = Segmenter(checkpoint, device="cpu", precision="fp32", fit=fit)
    exits = Exits(checkpoint, segmenter)
    equal: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in STEPS}
    for sample in samples:
        for name, ids_HW in exits(sample.rgb_HW3).items():
            equal[name].append((ids_HW == segmenter(sample.rgb_HW3)).ravel())
    shares = {name: float(np.concatenate(parts).mean()) for name, parts in equal.items()}
    assert shares["sub124"] >= 0.9999
    assert 0.5 < shares["sub4"] < shares["sub24"] < 0.9999


def test_early_exits_are_zoomed_like_the_last(
    checkpoint: Checkpoint, samples: list[InMemory]
) -> None:
    # PyTorch's own align-corners zoom is the independent source here.
    segmenter = Segmenter(checkpoint, device="cpu", precision="fp32", fit=Fit())
    image = samples[0].rgb_HW3
    height, width = image.shape[:2]
    # The next 32k+1 behind 180 and 240 are 193 and 257; what is beside is the rounded mean.
    padded_hw3 = np.full((193, 257, 3), (124, 117, 104), np.uint8)
    padded_hw3[:height, :width] = image
    x_hw3 = torch.from_numpy(padded_hw3).float() - torch.tensor(checkpoint.preprocessing.mean_rgb)
    with torch.inference_mode():
        logits = checkpoint.build().branch_logits(x_hw3.flip(-1).permute(2, 0, 1)[None])
    for name, ids_HW in Exits(checkpoint, segmenter)(image).items():
        head_NKhw = getattr(logits, name)
        size = [(side - 1) * STEPS[name] + 1 for side in head_NKhw.shape[-2:]]
        full_NKHW = torch.nn.functional.interpolate(
            head_NKhw, size=size, mode="bilinear", align_corners=True
        )
        wanted_HW = full_NKHW.argmax(1)[0, :height, :width].numpy()
        assert (ids_HW == wanted_HW).mean() >= 0.9999, name


def test_exits_are_counted_like_the_whole(
    checkpoint: Checkpoint, segmenter: Segmenter, samples: list[InMemory]
) -> None:
    exits = Exits(checkpoint, segmenter)
    got = evaluate_dataset(segmenter, in_memory_data(samples), exits=exits)
    assert list(got.exits) == ["sub124", "sub24", "sub4"]
    masks = [exits(sample.rgb_HW3)["sub24"] for sample in samples]
    counts = naive_counts(masks, [sample.ids_HW for sample in samples])
    assert (got.exits["sub24"].counts == counts).all()
    assert got.exits["sub124"].miou() == pytest.approx(got.confusion.miou(), abs=1e-3)


def test_samples_that_cannot_be_loaded_are_named_and_left_out(
    segmenter: Segmenter, samples: list[InMemory]
) -> None:
    damaged = InMemory("broken", samples[0].rgb_HW3, None)
    got = evaluate_dataset(segmenter, in_memory_data([samples[0], damaged, samples[1]]))
    usual = evaluate_dataset(segmenter, in_memory_data(samples[:2]))
    assert [(c.name, c.error) for c in got.corrupted] == [("broken", "broken: damaged")]
    assert (got.confusion.counts == usual.confusion.counts).all()
    assert "2 of 3 frames (the rest cannot be loaded)" in got.protocol
    with pytest.raises(SampleError, match="none of the 1 samples can be used: broken: damaged"):
        evaluate_dataset(segmenter, in_memory_data([damaged]))


def test_a_frame_of_void_alone_has_no_figure(segmenter: Segmenter) -> None:
    void = InMemory("void", np.zeros((70, 80, 3), np.uint8), np.full((70, 80), 255, np.uint8))
    got = evaluate_dataset(segmenter, in_memory_data([void]))
    assert np.isnan(got.confusion.miou())
    assert got.ranked() == []


def test_an_unknown_split_is_refused(segmenter: Segmenter, samples: list[InMemory]) -> None:
    with pytest.raises(ConfigError, match=r"no samples in the split 'test'; it has val \(4\)"):
        evaluate_dataset(segmenter, in_memory_data(samples), split="test")
