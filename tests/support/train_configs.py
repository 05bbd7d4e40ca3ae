"""Training configurations for tests, written to files and loaded."""

import json
from pathlib import Path
from typing import Any

import pytest

from icstream.model import ConfigError
from icstream.pipeline.settings.train import TrainConfig, load_train_config

# The defaults of the plugin's code, by its schema and its default configuration.
PLUGIN_DEFAULTS = {
    "dataset_tags": {"train": "train", "val": "val"},
    "batch_size": {"train": 1, "val": 1},
    "data_workers": {"train": 1, "val": 1},
    "input_size": {"width": 2049, "height": 1025},
    "allow_corrupted_samples": {"train": 0, "val": 0},
    "special_classes": {"neutral": "neutral"},
    "epochs": 2,
    "val_every": 1,
    "lr": 0.0001,
    "lr_decreasing": {"patience": 1000, "lr_divisor": 5},
    "weights_init_type": "transfer_learning",
    "gpu_devices": [0],
    "use_batchnorm": True,
}


def nested(dotted: str, value: object) -> dict[str, Any]:
    """Return {"a": {"b": value}} for "a.b"."""
    for key in reversed(dotted.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


class Loader:
    """A loader of configurations, which it writes to files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, values: object, *assignments: str) -> TrainConfig:
        file = self._folder / "train.json"
        file.write_text(json.dumps(values))
        return load_train_config(str(file), assignments)

    def fault(self, values: object, *assignments: str) -> str:
        """Return the text of the expected error, without the file's name."""
        with pytest.raises(ConfigError) as caught:
            self(values, *assignments)
        text = str(caught.value)
        assert "\n" not in text
        return text.removeprefix(f"{self._folder / 'train.json'}: ")
