"""What the trainer is put together from."""

import numpy as np
import pytest
import torch

from icstream.model import CAMVID, ConfigError
from icstream.stages.train import TrainSettings
from icstream.stages.train.build import Survey, make_loss

CPU = torch.device("cpu")
NUM_CLASSES = len(CAMVID)


def test_factors_multiply_the_weights_of_their_classes() -> None:
    pixels_K = torch.arange(1, NUM_CLASSES + 1) * 100
    found = Survey(pixels_K, side=360)
    settings = TrainSettings(class_weights="log", class_factors={"Pole": 4.0})
    weights_K = make_loss(settings, found, CAMVID, CPU).class_weights_K
    assert weights_K is not None
    expected = 1 / np.log(1.1 + pixels_K.numpy() / pixels_K.sum().item())
    expected[CAMVID.names.index("Pole")] *= 4
    assert weights_K.numpy() == pytest.approx(expected)


def test_factors_alone_leave_the_other_classes_at_one() -> None:
    found = Survey(torch.ones(NUM_CLASSES), side=360)
    settings = TrainSettings(class_factors={"Car": 0.5})
    weights_K = make_loss(settings, found, CAMVID, CPU).class_weights_K
    assert weights_K is not None
    assert sorted(set(weights_K.tolist())) == [0.5, 1.0]


def test_without_either_nothing_is_weighed() -> None:
    found = Survey(torch.ones(NUM_CLASSES), side=360)
    assert make_loss(TrainSettings(), found, CAMVID, CPU).class_weights_K is None


def test_a_factor_for_an_unknown_class_is_named() -> None:
    found = Survey(torch.ones(NUM_CLASSES), side=360)
    settings = TrainSettings(class_factors={"Lamp": 2.0})
    with pytest.raises(ConfigError, match="no class 'Lamp'; there are Sky, Building"):
        make_loss(settings, found, CAMVID, CPU)
