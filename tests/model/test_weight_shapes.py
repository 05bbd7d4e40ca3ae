"""The shapes that are known without the network are those of the network."""

from typing import get_args

import pytest
import torch

from icstream.model import ICNet, ICNetConfig
from icstream.model.icnet_config import Variant
from icstream.model.weight_shapes import is_weight, needed_shapes, shape_faults, shape_text


@pytest.mark.parametrize("variant", get_args(Variant))
@pytest.mark.parametrize("use_batchnorm", [True, False])
@pytest.mark.parametrize("width", [1 / 64, 0.3, 0.5, 1.0])
def test_they_are_those_of_the_network_in_its_order(
    variant: Variant, use_batchnorm: bool, width: float
) -> None:
    config = ICNetConfig(num_classes=7, variant=variant, width=width, use_batchnorm=use_batchnorm)
    with torch.device("meta"):
        state = ICNet(config).state_dict()
    expected = [(name, tuple(state[name].shape)) for name in state if is_weight(name)]
    assert list(needed_shapes(config).items()) == expected


def test_faults_come_in_one_clause_for_each_kind() -> None:
    config = ICNetConfig(num_classes=7)
    shapes = needed_shapes(config)
    assert shape_faults(shapes, config) == []
    del shapes["conv1_1.conv.weight"]
    shapes |= {"classifier.bias": (8,), "extra": ()}
    assert shape_faults(shapes, config) == [
        "missing conv1_1.conv.weight",
        "unknown extra",
        "of another shape: classifier.bias is 8, the network has 7",
    ]


def test_a_shape_is_written_for_people() -> None:
    assert [shape_text(shape) for shape in ((64, 3, 3, 3), (7,), ())] == [
        "64x3x3x3",
        "7",
        "a scalar",
    ]
