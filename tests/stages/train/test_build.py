"""What the trainer is put together from."""

import sys

import numpy as np
import pytest
import torch

from icstream.model import CAMVID, ConfigError
from icstream.stages.train import (
    Augmentation,
    Optimizer,
    Paste,
    Photometric,
    PolySchedule,
    TrainSettings,
)
from icstream.stages.train.build import check_packages, make_loss
from icstream.stages.train.fingerprint import settings_that_matter
from icstream.stages.train.measure import SampleStatistics

CPU = torch.device("cpu")
NUM_CLASSES = len(CAMVID)


def test_factors_multiply_the_weights_of_their_classes() -> None:
    pixels_K = torch.arange(1, NUM_CLASSES + 1) * 100
    statistics = SampleStatistics(pixels_K, side=360)
    settings = TrainSettings(class_weights="log", class_factors={"Pole": 4.0})
    weights_K = make_loss(settings, statistics, CAMVID, CPU).class_weights_K
    assert weights_K is not None
    expected = 1 / np.log(1.1 + pixels_K.numpy() / pixels_K.sum().item())
    expected[CAMVID.names.index("Pole")] *= 4
    assert weights_K.numpy() == pytest.approx(expected)


def test_factors_alone_leave_the_other_classes_at_one() -> None:
    statistics = SampleStatistics(torch.ones(NUM_CLASSES), side=360)
    settings = TrainSettings(class_factors={"Car": 0.5})
    weights_K = make_loss(settings, statistics, CAMVID, CPU).class_weights_K
    assert weights_K is not None
    assert sorted(set(weights_K.tolist())) == [0.5, 1.0]


def test_without_either_nothing_is_weighed() -> None:
    statistics = SampleStatistics(torch.ones(NUM_CLASSES), side=360)
    assert make_loss(TrainSettings(), statistics, CAMVID, CPU).class_weights_K is None


def test_a_factor_for_an_unknown_class_is_named() -> None:
    statistics = SampleStatistics(torch.ones(NUM_CLASSES), side=360)
    settings = TrainSettings(class_factors={"Lamp": 2.0})
    with pytest.raises(ConfigError, match="no class 'Lamp'; there are Sky, Building"):
        make_loss(settings, statistics, CAMVID, CPU)


def test_settings_are_compared_by_the_text_that_state_files_of_0_1_0_hold() -> None:
    settings = TrainSettings(
        optimizer=Optimizer(name="sgd"),
        schedule=PolySchedule(),
        augmentation=Augmentation(color=0.4),
        workers_train=8,
        checkpoint_every_steps=5,
    )
    assert settings_that_matter(settings) == (
        "TrainSettings(epochs=2, batch_train=1, batch_val=1, workers_train=1, workers_val=1,"
        " input_size=(1025, 2049), input_scale=1, val_every=1.0, lr=0.0001,"
        " optimiser=Optimiser(name='sgd', weight_decay=0.0001, momentum=0.9, clip_norm=None),"
        " schedule=PolySchedule(warm_up_share=0.05, power=0.9),"
        " augmentation=Augmentation(scale=(0.5, 2.0), flip=True, rotation_degrees=0.0,"
        " colour=0.4, whole_frames_share=0.0), allow_corrupted_train=0, allow_corrupted_val=0,"
        " variant='supervisely', width=0.5,"
        " use_batchnorm=True, init='transfer_learning', aux_weights=(1.0, 0.4, 0.16),"
        " label_guidance='full', class_weights='none', class_factors={}, ohem=None, ema=None,"
        " precision='fp32', seed=0, gpu_devices=(0,), checkpoint_every_steps=0,"
        " keep_every_validation=False)"
    )


def test_settings_that_0_1_0_did_not_have_are_compared_where_they_are_used() -> None:
    plain = settings_that_matter(TrainSettings(augmentation=Augmentation()))
    texts = {
        plain,
        settings_that_matter(TrainSettings(augmentation=Augmentation(photometric=Photometric()))),
        settings_that_matter(
            TrainSettings(augmentation=Augmentation(photometric=Photometric(noise=0)))
        ),
        settings_that_matter(
            TrainSettings(augmentation=Augmentation(paste=Paste(classes=("Pole",))))
        ),
        settings_that_matter(TrainSettings(augmentation=Augmentation(), label_smoothing=0.1)),
        settings_that_matter(TrainSettings(augmentation=Augmentation(), dropout=0.1)),
    }
    assert len(texts) == 6


def test_without_torchvision_photometric_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("torchvision.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "icstream.stages.train.photometric", raising=False)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    check_packages(TrainSettings())
    check_packages(TrainSettings(augmentation=Augmentation()))
    settings = TrainSettings(augmentation=Augmentation(photometric=Photometric()))
    with pytest.raises(ConfigError, match=r"pip install 'icstream\[train\]'$") as caught:
        check_packages(settings)
    assert "\n" not in str(caught.value)
