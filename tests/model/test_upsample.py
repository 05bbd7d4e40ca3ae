"""The fast upsampling against its definition, and the definition against PyTorch's."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from icstream.model import Fit, Scores
from icstream.model.upsample import class_ids, class_ids_dense


def score_map(
    random: np.random.Generator, num_classes: int, size: tuple[int, int], kind: str
) -> NDArray[np.float32]:
    values = random.normal(size=(num_classes, *size)).astype(np.float32)
    if kind == "smooth":
        values = np.stack([cv2.GaussianBlur(v, (0, 0), 2.0) * 9 for v in values])
    if kind == "ties":
        values = np.round(values)
    if kind == "huge":
        values *= 1e30
    if kind == "tiny":
        values *= 1e-30
    if kind == "offset":
        values = values * 1e-3 + 1e3
    return values.astype(np.float32)


@pytest.mark.parametrize("kind", ["rough", "smooth", "ties", "huge", "tiny", "offset"])
@pytest.mark.parametrize(
    "fit", [Fit(), Fit("stretch", (96, 160)), Fit("letterbox", (128, 128))], ids=lambda f: f.mode
)
def test_fast_equals_dense_on_every_pixel(kind: str, fit: Fit) -> None:
    random = np.random.default_rng(0)
    for num_classes in (2, 11, 19, 255):
        source = tuple(random.integers(1, 180, 2).tolist())
        geometry = fit.geometry(source)
        nodes = [(side - 1) // 8 + 1 for side in geometry.outer]
        values = score_map(random, num_classes, (nodes[0], nodes[1]), kind)
        fast = class_ids(values, *geometry.axes())
        dense = class_ids_dense(values, *geometry.axes())
        assert fast.shape == source
        assert (fast == dense).all()


def test_dense_equals_bilinear_with_aligned_corners() -> None:
    values = score_map(np.random.default_rng(1), 11, (9, 13), "rough")
    geometry = Fit().geometry((65, 97))
    ids = Scores(values, geometry).class_ids()
    logits = F.interpolate(
        torch.from_numpy(values)[None].double(), size=(65, 97), mode="bilinear", align_corners=True
    )[0]
    best = logits.topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-5).numpy()
    assert clear.mean() > 0.99
    assert (ids == logits.argmax(0).numpy())[clear].all()


def test_ties_go_to_the_lowest_id() -> None:
    geometry = Fit().geometry((65, 65))
    values = np.zeros((4, 9, 9), np.float32)
    values[1:3] = 5
    assert (Scores(values, geometry).class_ids() == 1).all()


def test_scores_in_any_memory_order_work() -> None:
    geometry = Fit().geometry((65, 97))
    values = score_map(np.random.default_rng(2), 5, (9, 13), "smooth")
    strided = np.asfortranarray(values)
    assert (class_ids(strided, *geometry.axes()) == class_ids(values, *geometry.axes())).all()
