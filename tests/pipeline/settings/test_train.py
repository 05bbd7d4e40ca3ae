"""Training configurations: the plugin's form with its ranges and strictness."""

import json
import logging
from pathlib import Path

import pytest

from icstream.pipeline.settings.train import load_train_config
from icstream.stages.train.settings import (
    PatienceSchedule,
    TrainSettings,
)
from support.train_configs import PLUGIN_DEFAULTS, Loader, nested


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING)
    return caplog


def test_nothing_gives_what_the_plugin_does(load: Loader) -> None:
    config = load({})
    assert config.plugin_values() == PLUGIN_DEFAULTS
    assert config.settings() == TrainSettings()
    assert config.settings().augmentation is None
    assert config.settings().variant == "supervisely"


def test_sections_are_merged_and_the_rest_is_replaced(load: Loader) -> None:
    values = load({"batch_size": {"val": 4}, "gpu_devices": [2, 3], "lr": 1}).plugin_values()
    assert values == PLUGIN_DEFAULTS | {
        "batch_size": {"train": 1, "val": 4},
        "gpu_devices": [2, 3],
        "lr": 1,
    }


def test_the_readme_configuration_of_the_plugin_is_valid_as_it_stands(data_dir: Path) -> None:
    file = data_dir / "plugin_configs" / "train_readme.json"
    config = load_train_config(str(file))
    written = json.loads(file.read_text())
    assert config.plugin_values() == written | {"gpu_devices": [0]}
    assert config.settings() == TrainSettings(
        epochs=10,
        batch_train=8,
        batch_val=4,
        workers_train=4,
        workers_val=2,
        lr=0.001,
        schedule=PatienceSchedule(patience=5, divisor=10),
        allow_corrupted_train=3,
    )


def test_the_training_presets_of_the_plugin_are_valid_as_they_stand(
    data_dir: Path, load: Loader
) -> None:
    presets = json.loads((data_dir / "plugin_configs" / "presets.json").read_text())
    presets = [preset["config"] for preset in presets if preset["type"] == "train"]
    assert len(presets) == 1
    assert load(presets[0]).plugin_values() == PLUGIN_DEFAULTS | presets[0]


def test_the_merged_values_are_a_configuration_again(load: Loader) -> None:
    first = load({"epochs": 7, "val_every": 0.3, "lr_decreasing": {"patience": 3}, "seed": 1})
    values = json.loads(json.dumps(first.plugin_values()))
    assert "seed" not in values
    assert load(values).plugin_values() == first.plugin_values()


INTEGERS = {
    "batch_size.train": 1,
    "batch_size.val": 1,
    "data_workers.train": 0,
    "data_workers.val": 0,
    "input_size.width": 64,
    "input_size.height": 64,
    "allow_corrupted_samples.train": 0,
    "allow_corrupted_samples.val": 0,
    "epochs": 1,
    "lr_decreasing.patience": 1,
    "seed": 0,
    "checkpoint_every_steps": 0,
    "recipe.input_scale": 1,
}
"""Dotted keys of integers, with the lowest that is allowed."""
NUMBERS = ("val_every", "lr", "lr_decreasing.lr_divisor", "recipe.poly.power")
"""Dotted keys of numbers that must be above 0."""
TEXTS = ("dataset_tags.train", "dataset_tags.val", "special_classes.neutral")
BOOLEANS = ("use_batchnorm", "keep_every_validation", "recipe.augmentation.flip")


@pytest.mark.parametrize(("key", "lowest"), INTEGERS.items())
def test_integers_are_strict_and_have_a_lowest_value(load: Loader, key: str, lowest: int) -> None:
    load(nested(key, lowest))
    load(nested(key, lowest + 1))
    for value in (float(lowest + 1), True, str(lowest + 1), None, [lowest]):
        assert load.fault(nested(key, value)).startswith(f"{key}: input should be a valid integer")
    text = load.fault(nested(key, lowest - 1))
    assert text.startswith(f"{key}: ")
    assert f"{lowest}, got {lowest - 1}" in text


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers_are_above_nothing_and_finite(load: Loader, key: str) -> None:
    for good in (1, 0.25, 1e-9, 40):
        load(nested(key, good))
    for value in (0, -1, True, "1", None, float("nan"), float("inf")):
        assert load.fault(nested(key, value)).startswith(f"{key}: input should be ")


@pytest.mark.parametrize("key", TEXTS)
def test_names_are_texts_with_something_in_them(load: Loader, key: str) -> None:
    load(nested(key, " "))
    for value in ("", 1, None, ["a"]):
        assert load.fault(nested(key, value)).startswith(f"{key}: ")


@pytest.mark.parametrize("key", BOOLEANS)
def test_switches_are_true_or_false(load: Loader, key: str) -> None:
    load(nested(key, True))
    load(nested(key, False))
    for value in (0, 1, "true", None):
        assert load.fault(nested(key, value)).startswith(f"{key}: input should be a valid boolean")


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("weights_init_type", ["transfer_learning", "continue_training"]),
        ("recipe.optimizer.name", ["adamw", "adam", "sgd"]),
        ("recipe.schedule", ["poly", "patience"]),
        ("recipe.label_guidance", ["full", "shrunk"]),
        ("recipe.class_weights", ["none", "log", "steep"]),
        ("recipe.precision", ["fp32", "bf16", "fp16"]),
        ("recipe.variant", ["paper", "supervisely"]),
    ],
)
def test_choices_are_among_those_named(load: Loader, key: str, choices: list[str]) -> None:
    for choice in choices:
        load(nested(key, choice))
    for value in ("other", choices[0].upper(), None, 1):
        text = load.fault(nested(key, value))
        assert text.startswith(f"{key}: ")
        assert all(repr(choice) in text for choice in choices)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("recipe.optimizer.weight_decay", [0, 0.1, None], [-0.1, "0"]),
        ("recipe.optimizer.momentum", [0, 0.99], [-0.1, 1, None]),
        ("recipe.optimizer.clip_norm", [1, 0.5, None], [0, -1, True]),
        ("recipe.poly.warm_up_share", [0, 0.9], [-0.1, 1, None]),
        ("recipe.augmentation.scale", [[0.5, 2], [1, 1]], [[2, 0.5], [1], [0, 1], [1, 11], 1]),
        ("recipe.augmentation.rotation_degrees", [0, 180], [-1, 181, None]),
        ("recipe.augmentation.color", [0, 1], [-0.1, 1.1, None]),
        ("recipe.augmentation.whole_frames_share", [0, 1], [-0.1, 1.1, None]),
        ("recipe.input_scale", [1, 2], [3]),
        ("recipe.ohem", [0.7, None], [0, 1, True]),
        ("recipe.ema", [0.999, None], [0, 1]),
        ("recipe.augmentation.photometric", [{}, None], [1, True]),
        ("recipe.augmentation.photometric.gamma", [[0.5, 2], [1, 1]], [[2, 0.5], [0, 1], 1]),
        ("recipe.augmentation.photometric.brightness", [[0.2, 1]], [[1, 0.2], [1, 21], None]),
        ("recipe.augmentation.photometric.jpeg_quality", [[1, 100]], [[9, 8], [0, 9], [1.0, 9]]),
        ("recipe.augmentation.photometric.blur_px", [0, 10], [-0.1, 11, None]),
        ("recipe.augmentation.paste.classes", [["a", "b"]], [[], "a", None]),
        ("recipe.label_smoothing", [0, 0.1], [-0.1, 1, None]),
        ("recipe.dropout", [0, 0.5], [-0.1, 1, None]),
        ("recipe.width", [0.5, 1, 1 / 64, 4], [0, 4.1, None]),
        ("splits.train", [[], ["a*", "@b.txt"]], ["a", [""], [1], None]),
        ("seed", [2**63 - 1], [2**63]),
        ("gpu_devices", [[0], [1, 0]], [[], [-1], [0.0], [True], 0, None, "0"]),
    ],
)
def test_ranges(load: Loader, key: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        load(nested(key, value))
    for value in bad:
        assert load.fault(nested(key, value)).startswith((f"{key}: ", f"{key}."))


@pytest.mark.parametrize(
    "section", sorted(key for key, value in PLUGIN_DEFAULTS.items() if isinstance(value, dict))
)
def test_null_and_values_do_not_replace_a_section(load: Loader, section: str) -> None:
    others: tuple[object, ...] = (None, 3, [])
    for value in others:
        assert load.fault({section: value}).startswith(f"{section}: must be a section")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("epoch", "epochs"),
        ("batch_size.trian", "batch_size.train"),
        ("dataset_tags.vall", "dataset_tags.val"),
        ("input_size.hight", "input_size.height"),
        ("lr_decreasing.divisor", "lr_decreasing.lr_divisor"),
        ("recipe.optimizer.momentun", "recipe.optimizer.momentum"),
        ("recipe.flip", "recipe.augmentation.flip"),
        ("recipe.epochs", "epochs"),
    ],
)
def test_unknown_keys_are_refused_at_every_level(load: Loader, key: str, nearest: str) -> None:
    expected = f"{key}: no such setting; did you mean {nearest}?"
    assert load.fault(nested(key, 1)) == expected


def test_the_background_cannot_be_named(load: Loader) -> None:
    text = load.fault({"special_classes": {"background": "bg", "neutral": "n"}})
    assert text.startswith("special_classes.background: the background cannot be named; ")


def test_all_faults_are_reported_at_once_with_their_paths(load: Loader) -> None:
    text = load.fault(
        {
            "epochs": 1.0,
            "batch_sizes": {},
            "input_size": {"width": 32},
            "gpu_devices": [0, -1],
            "lr_decreasing": {"patience": 5},
            "lr_descreasing": {"patience": 5},
            "special_classes": {"background": "bg"},
            "recipe": {"ema": 2},
        }
    )
    clauses = text.split("; ")
    for start in (
        "lr_descreasing: a misspelling of lr_decreasing",
        "lr_decreasing: has no effect with recipe.schedule poly",
        "epochs: input should be a valid integer, got 1.0",
        "batch_sizes: no such setting",
        "input_size.width: input should be greater than or equal to 64, got 32",
        "gpu_devices.1: input should be greater than or equal to 0, got -1",
        "special_classes.background: ",
        "recipe.ema: ",
    ):
        assert any(clause.startswith(start) for clause in clauses), start


def test_the_misspelling_of_the_documentation_is_taken_with_a_warning(
    load: Loader, warnings: pytest.LogCaptureFixture
) -> None:
    config = load({"lr_descreasing": {"patience": 7}}, "lr_descreasing.lr_divisor=2")
    assert config.settings().schedule == PatienceSchedule(patience=7, divisor=2)
    assert config.plugin_values()["lr_decreasing"] == {"patience": 7, "lr_divisor": 2}
    assert warnings.messages == [
        "lr_descreasing is a misspelling of lr_decreasing and is read as such"
    ]
    assert load.fault({"lr_descreasing": {"patience": 0}}).startswith("lr_decreasing.patience: ")


def test_a_rate_that_would_grow_is_taken_with_a_warning(
    load: Loader, warnings: pytest.LogCaptureFixture
) -> None:
    config = load({"lr_decreasing": {"lr_divisor": 0.5}})
    assert config.settings().schedule == PatienceSchedule(divisor=0.5)
    assert len(warnings.messages) == 1
    assert "would rise" in warnings.messages[0]


def test_a_device_that_is_named_twice_is_used_once_with_a_warning(
    load: Loader, warnings: pytest.LogCaptureFixture
) -> None:
    config = load({"gpu_devices": [1, 0, 1]})
    assert config.settings().gpu_devices == (1, 0)
    assert config.plugin_values()["gpu_devices"] == [1, 0, 1]
    assert len(warnings.messages) == 1
    assert "repeats a device" in warnings.messages[0]


def test_a_good_configuration_warns_of_nothing(
    load: Loader, warnings: pytest.LogCaptureFixture
) -> None:
    load(PLUGIN_DEFAULTS)
    load({"recipe": {}})
    assert warnings.messages == []
