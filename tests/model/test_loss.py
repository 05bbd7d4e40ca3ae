"""The guided loss, against sums written out in numpy and values from the paper."""

from typing import Literal

import numpy as np
import pytest
import torch

from icstream.model import ICNet, ICNetConfig
from icstream.model.icnet import BranchLogits, initialize
from icstream.model.loss import FACTORS, GuidedLoss, log_class_weights

VOID = 255
K = 3


def logits_for(height: int, width: int, *, seed: int = 0) -> BranchLogits:
    """Return logits as ICNet would for an input of 32k+1 that covers height x width."""
    generator = torch.Generator().manual_seed(seed)
    padded = [-(-(side - 1) // 32) * 32 for side in (height, width)]
    return BranchLogits(
        *(
            torch.randn(2, K, padded[0] // f + 1, padded[1] // f + 1, generator=generator)
            for f in FACTORS
        )
    )


def labels_for(height: int, width: int) -> torch.Tensor:
    ids = np.random.default_rng(1).integers(0, K, (2, height, width)).astype(np.uint8)
    ids[:, :5] = VOID
    return torch.from_numpy(ids)


def mean_by_hand(logits: np.ndarray, ids: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean cross entropy over pixels that are not void, one pixel at a time."""
    total = weight_sum = 0.0
    for n, y, x in np.argwhere(ids != VOID):
        scores = logits[n, :, y, x].astype(float)
        k = ids[n, y, x]
        total += weights[k] * (np.log(np.exp(scores).sum()) - scores[k])
        weight_sum += weights[k]
    return total / weight_sum


@pytest.mark.parametrize("size", [(33, 65), (40, 50)])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.5, 2.0, 4.0)])
def test_shrunk_guidance_compares_at_the_places_of_the_logits(
    size: tuple[int, int], weights: tuple[float, float, float]
) -> None:
    logits, ids = logits_for(*size), labels_for(*size)
    loss = GuidedLoss(void=VOID, guidance="shrunk", class_weights_K=torch.tensor(weights))
    total, heads = loss(logits, ids)
    expected = [
        mean_by_hand(branch.numpy(), ids.numpy()[:, ::f, ::f], np.array(weights))
        for branch, f in zip(logits, FACTORS, strict=True)
    ]
    assert [float(head) for head in heads] == pytest.approx(expected, rel=1e-5)
    # Section 3.3 of the paper: 0.16, 0.4 and 1 for the branches at 1/16, 1/8 and 1/4.
    assert float(total) == pytest.approx(expected[0] + 0.4 * expected[1] + 0.16 * expected[2])


@pytest.mark.parametrize("size", [(33, 65), (33, 64), (32, 65), (40, 50)])
def test_full_guidance_brings_logits_to_labels_that_differ_in_either_side(
    size: tuple[int, int],
) -> None:
    logits, ids = logits_for(*size), labels_for(*size)
    _, heads = GuidedLoss(void=VOID)(logits, ids)
    for head, branch, factor in zip(heads, logits, FACTORS, strict=True):
        zoomed = zoomed_by_hand(branch.numpy(), factor)[:, :, : size[0], : size[1]]
        assert float(head) == pytest.approx(mean_by_hand(zoomed, ids.numpy(), np.ones(K)), rel=1e-5)


def zoomed_by_hand(values: np.ndarray, factor: int) -> np.ndarray:
    """Interpolate linearly along both axes, node i lying on pixel factor * i."""
    for axis in (2, 3):
        nodes = np.arange(values.shape[axis])
        places = np.arange((len(nodes) - 1) * factor + 1) / factor
        values = np.apply_along_axis(lambda line: np.interp(places, nodes, line), axis, values)  # noqa: B023
    return values


@pytest.mark.parametrize("guidance", ["full", "shrunk"])
def test_void_pixels_change_nothing(guidance: Literal["full", "shrunk"]) -> None:
    logits, ids = logits_for(33, 65), labels_for(33, 65)
    loss = GuidedLoss(void=VOID, guidance=guidance)
    other = BranchLogits(*(branch.clone() for branch in logits))
    other.sub124[:, :, 0] += 100  # reaches rows 0 to 3, and rows 0 to 4 are void
    assert float(loss(logits, ids)[0]) == float(loss(other, ids)[0])
    nothing = torch.full_like(ids, VOID)
    total, _ = loss(logits, nothing)
    assert float(total) == 0


def test_a_batch_with_void_alone_gives_no_gradient_and_no_nan() -> None:
    model = ICNet(ICNetConfig(num_classes=K, width=1 / 16))
    initialize(model, seed=0)
    ids = torch.full((1, 65, 65), VOID, dtype=torch.uint8)
    total, _ = GuidedLoss(void=VOID)(model.branch_logits(torch.randn(1, 3, 65, 65)), ids)
    total.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or (p.grad == 0).all() for p in model.parameters())


def test_hard_pixels_alone_count_with_ohem() -> None:
    # Probabilities of the true class: 0.99 for the first half, 0.01 for the second.
    logits = torch.zeros(1, 2, 1, 64)
    logits[:, 0, :, :32] = float(np.log(99))
    logits[:, 1, :, 32:] = float(np.log(99))
    ids = torch.zeros(1, 1, 64, dtype=torch.uint8)
    loss = GuidedLoss(void=VOID, guidance="shrunk", ohem=0.7)
    assert float(loss.of_head(logits, ids, 1)) == pytest.approx(-np.log(0.01), rel=1e-4)


def test_smoothed_labels_share_their_target_with_all_classes() -> None:
    logits, ids = logits_for(33, 65), labels_for(33, 65)
    smoothed = GuidedLoss(void=VOID, guidance="shrunk", label_smoothing=0.2)(logits, ids)[0]
    # Szegedy and others, "Rethinking the Inception Architecture" (2016), section 7: the loss is
    # (1 - e) H(q, p) + e H(u, p), with u even over the K classes.
    plain = GuidedLoss(void=VOID, guidance="shrunk")
    others = [
        plain(logits, torch.where(ids == VOID, ids, torch.full_like(ids, k)))[0] for k in range(K)
    ]
    expected = 0.8 * plain(logits, ids)[0] + 0.2 * torch.stack(others).mean()
    assert float(smoothed) == pytest.approx(float(expected), rel=1e-5)


def test_smoothing_does_not_decide_which_pixels_are_hard() -> None:
    logits = BranchLogits(*(torch.zeros(1, K, 2, 2) for _ in FACTORS))
    for branch in logits:
        branch[:, 0] = 9.0  # so sure and so right that only smoothing makes it a loss
        branch[:, 0, 0, 0] = -9.0
    ids = torch.zeros(1, 2 * 16, 2 * 16, dtype=torch.uint8)
    hard = GuidedLoss(void=VOID, guidance="shrunk", ohem=0.7, label_smoothing=0.1)
    sub4 = hard.of_head(logits.sub4, ids, FACTORS[2])
    expected = torch.nn.functional.cross_entropy(
        logits.sub4[:, :, 0, 0], torch.tensor([0]), label_smoothing=0.1
    )
    assert float(sub4) == pytest.approx(float(expected), rel=1e-5)


def test_with_ohem_a_sixteenth_counts_even_if_all_is_right() -> None:
    values = torch.linspace(5, 6, 64)
    logits = torch.stack([values, torch.zeros(64)])[None, :, None]
    ids = torch.zeros(1, 1, 64, dtype=torch.uint8)
    loss = GuidedLoss(void=VOID, guidance="shrunk", ohem=0.7)
    hardest = np.log1p(np.exp(-values.numpy()[:4].astype(float))).mean()
    assert float(loss.of_head(logits, ids, 1)) == pytest.approx(hardest, rel=1e-3)


def test_class_weights_follow_their_formula() -> None:
    weights = log_class_weights(torch.tensor([90, 10, 0]), 1.1)
    expected = [1 / np.log(1.1 + share) for share in (0.9, 0.1, 0.0)]
    assert weights.tolist() == pytest.approx(expected)
