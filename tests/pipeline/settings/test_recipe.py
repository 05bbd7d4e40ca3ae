"""The block `recipe` of a training configuration: what is beyond the plugin."""

from pathlib import Path

import pytest

from icstream.stages.train.settings import (
    Augmentation,
    Optimizer,
    Paste,
    PatienceSchedule,
    Photometric,
    PolySchedule,
    TrainSettings,
)
from support.train_configs import Loader


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


def test_an_empty_recipe_is_the_modern_way(load: Loader) -> None:
    assert load({"recipe": {}}).settings() == TrainSettings(
        optimizer=Optimizer(name="adamw", weight_decay=0.01),
        schedule=PolySchedule(),
        augmentation=Augmentation(),
        variant="paper",
    )


def test_every_setting_of_a_recipe_arrives(load: Loader) -> None:
    recipe = {
        "optimizer": {"name": "sgd", "weight_decay": 0.5, "momentum": 0.8, "clip_norm": 3},
        "poly": {"warm_up_share": 0.2, "power": 2},
        "augmentation": {
            "scale": [0.75, 1.25],
            "flip": False,
            "rotation_degrees": 7,
            "color": 0.3,
            "whole_frames_share": 0.4,
            "photometric": {
                "share": 0.3,
                "gamma": [0.5, 2],
                "brightness": [0.2, 3],
                "temperature": 0.1,
                "blur_px": 2,
                "noise": 0.02,
                "jpeg_quality": [10, 20],
            },
            "paste": {"classes": ["Pole", "Fence"], "max_objects": 2, "scale": [1, 1.5]},
        },
        "input_scale": 2,
        "label_guidance": "shrunk",
        "class_weights": "log",
        "class_factors": {"Pole": 4.0},
        "ohem": 0.7,
        "label_smoothing": 0.1,
        "dropout": 0.2,
        "ema": 0.99,
        "precision": "bf16",
        "variant": "supervisely",
        "width": 1,
    }
    values = {
        "recipe": recipe,
        "input_size": {"width": 97, "height": 65},
        "seed": 5,
        "checkpoint_every_steps": 6,
        "keep_every_validation": True,
        "weights_init_type": "continue_training",
        "use_batchnorm": False,
    }
    assert load(values).settings() == TrainSettings(
        optimizer=Optimizer(name="sgd", weight_decay=0.5, momentum=0.8, clip_norm=3),
        schedule=PolySchedule(warm_up_share=0.2, power=2),
        augmentation=Augmentation(
            scale=(0.75, 1.25),
            flip=False,
            rotation_degrees=7,
            color=0.3,
            whole_frames_share=0.4,
            photometric=Photometric(
                share=0.3,
                gamma=(0.5, 2),
                brightness=(0.2, 3),
                temperature=0.1,
                blur_px=2,
                noise=0.02,
                jpeg_quality=(10, 20),
            ),
            paste=Paste(classes=("Pole", "Fence"), max_objects=2, scale=(1, 1.5)),
        ),
        input_scale=2,
        label_guidance="shrunk",
        class_weights="log",
        class_factors={"Pole": 4.0},
        ohem=0.7,
        label_smoothing=0.1,
        dropout=0.2,
        ema=0.99,
        precision="bf16",
        variant="supervisely",
        width=1,
        input_size=(65, 97),
        seed=5,
        checkpoint_every_steps=6,
        keep_every_validation=True,
        init="continue_training",
        use_batchnorm=False,
    )


@pytest.mark.parametrize(("name", "decay"), [("adamw", 0.01), ("sgd", 0.0001), ("adam", 0)])
def test_each_optimizer_has_a_decay_of_its_own(load: Loader, name: str, decay: float) -> None:
    config = load({"recipe": {"optimizer": {"name": name}}})
    assert config.settings().optimizer.weight_decay == decay


def test_a_recipe_may_keep_the_plugins_schedule(load: Loader) -> None:
    values = {"recipe": {"schedule": "patience"}, "lr_decreasing": {"patience": 4}}
    assert load(values).settings().schedule == PatienceSchedule(patience=4)


def test_a_schedule_that_would_be_idle_is_a_fault(load: Loader) -> None:
    text = load.fault({"recipe": {}, "lr_decreasing": {"patience": 4}})
    assert text.startswith("lr_decreasing: has no effect with recipe.schedule poly")
    text = load.fault({"recipe": {"schedule": "patience", "poly": {}}})
    assert text.startswith("recipe.poly: has no effect with recipe.schedule patience")


def test_an_empty_recipe_is_refused(load: Loader) -> None:
    assert load.fault({"recipe": None}).startswith("recipe: must not be empty; write {}")
