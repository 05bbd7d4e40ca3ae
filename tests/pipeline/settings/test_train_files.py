"""Training configurations as files, ready-made ones, and their schema."""

import json
from pathlib import Path

import pytest
import yaml

from icstream.model import ConfigError
from icstream.pipeline.settings.loader import preset_names
from icstream.pipeline.settings.run import load_config
from icstream.pipeline.settings.schema_fields import known_keys
from icstream.pipeline.settings.train import TrainConfig, load_train_config
from support.commands import call
from support.train_configs import PLUGIN_DEFAULTS, Loader


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


def test_json_and_yaml_are_equivalent(tmp_path: Path) -> None:
    values = {**PLUGIN_DEFAULTS, "lr": 2e-05, "epochs": 3}
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps(values), encoding="utf-8")
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(values).replace("2.0e-05", "2e-5"))
    assert "lr: 2e-5" in (tmp_path / "a.yaml").read_text()
    first, second = (load_train_config(str(tmp_path / name)) for name in ("a.json", "a.yaml"))
    assert first == second
    assert first.lr == 0.00002


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "", r"a\.json, line 1: not valid JSON"),
        ("a.json", '{\n"epochs": 1,\n}', r"a\.json, line 3: not valid JSON"),
        ("a.yaml", "a: 1\nb: [", r"a\.yaml, line 2: not valid YAML"),
        ("a.json", "[1]", "a mapping of settings, got a list"),
        ("a.yaml", "day: 2001-99-99", r"a\.yaml: not valid YAML"),
    ],
)
def test_errors_of_files_name_the_fault(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_train_config(str(tmp_path / name))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"a\.yaml: not valid YAML"):
        load_train_config(str(tmp_path / "a.yaml"))


def test_assignments_win_over_the_file(load: Loader) -> None:
    config = load({"lr": 0.1, "epochs": 3}, "lr=1e-3", "gpu_devices=[0, 1]", "recipe.ema=0.9")
    assert (config.lr, config.epochs, config.gpu_devices) == (0.001, 3, [0, 1])
    assert config.settings().ema == 0.9
    assert load.fault({}, "epochs=2.0").startswith("epochs: input should be a valid integer")


def test_every_ready_made_training_is_valid() -> None:
    names = ["train_camvid", "train_cityscapes", "train_plugin", "train_streets"]
    assert preset_names("train") == names
    for name in preset_names("train"):
        settings = load_train_config(name).settings()
        assert [side % 32 for side in settings.input_size] == [1, 1]
    assert load_train_config("train_plugin") == TrainConfig()


def test_the_kinds_of_configurations_are_not_mixed_up() -> None:
    assert not set(preset_names("run")) & set(preset_names("train"))
    with pytest.raises(ConfigError) as caught:
        load_config("train_camvid", (), {})
    text = "train_camvid: a preset for icstream train; presets for run are camera, "
    assert str(caught.value).startswith(text)
    assert "train_plugin" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"dashcam: a preset for icstream run; .*train_"):
        load_train_config("dashcam")
    with pytest.raises(ConfigError, match=r"none: cannot be read .* presets are train_camvid"):
        load_train_config("none")


def test_the_command_line_prints_the_schema() -> None:
    schema = json.loads(call("config", "schema", "--of", "train").stdout)
    assert schema["properties"].keys() == set(TrainConfig.model_fields)
    assert schema["additionalProperties"] is False
    assert "crops" in schema["$defs"]["InputSize"]["description"]


def test_the_page_lists_every_setting() -> None:
    page = (Path(__file__).parents[3] / "docs" / "training-configuration.md").read_text()
    sections = {key.rpartition(".")[0] for key in known_keys(TrainConfig)}
    for key in set(known_keys(TrainConfig)) - sections:
        assert f"`{key.removeprefix('recipe.')}`" in page, key
