"""Keys of earlier versions: their values, their one warning, and what reports make of them."""

from pathlib import Path

import pytest

from icstream.model import ConfigError, Fit
from icstream.pipeline.settings.old_keys import report_settings
from icstream.pipeline.settings.run import RunConfig, load_config
from icstream.pipeline.settings.train import load_train_config

OLD = """
fit: {mode: stretch, size: 512x1024}
output:
  rolling: {seconds: 5, megabytes: 1.5, keep_seconds: 90, keep_megabytes: 20}
  events:
    rules:
      - {name: busy, class: Road, above: 0.4, for_seconds: 0.3, clear_for_seconds: 0.2}
      - {name: low, class: Sky, below: 0.1, for_seconds: 1}
"""
NEW = """
fit: {mode: stretch, width: 1024, height: 512}
output:
  rolling: {file_s: 5, file_bytes: 1500000, keep_s: 90, keep_bytes: 20000000}
  events:
    rules:
      - {name: busy, class: Road, above: 0.4, for_s: 0.3, clear_for_s: 0.2}
      - {name: low, class: Sky, below: 0.1, for_s: 1}
"""
MESSAGES = [
    "fit.size is now called fit.width and fit.height",
    "output.rolling.seconds is now called output.rolling.file_s",
    "output.rolling.megabytes is now called output.rolling.file_bytes",
    "output.rolling.keep_seconds is now called output.rolling.keep_s",
    "output.rolling.keep_megabytes is now called output.rolling.keep_bytes",
    "output.events.rules.for_seconds is now called output.events.rules.for_s",
    "output.events.rules.clear_for_seconds is now called output.events.rules.clear_for_s",
]


def load(folder: Path, text: str, *assignments: str) -> RunConfig:
    file = folder / "run.yaml"
    file.write_text(text)
    return load_config(str(file), assignments, {})


def test_old_keys_mean_what_they_did_and_each_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = load(tmp_path, NEW)
    assert caplog.messages == []
    assert load(tmp_path, OLD) == wanted
    assert caplog.messages == MESSAGES


def test_an_old_key_wins_over_the_new_one_in_an_earlier_source(tmp_path: Path) -> None:
    config = load(tmp_path, NEW, "fit.size=64x96", "output.rolling.seconds=7")
    assert config.fit.fit() == Fit("stretch", (64, 96))
    assert config.output.rolling.file_s == 7
    config = load(tmp_path, OLD, "fit.width=640", "output.rolling.file_s=7")
    assert config.fit.fit() == Fit("stretch", (512, 640))
    assert config.output.rolling.file_s == 7


def test_both_keys_in_one_source_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "output: {rolling: {seconds: 5, file_s: 6, keep_second: 1}}")
    clauses = str(caught.value).split("; ")
    assert clauses[0].endswith(
        "output.rolling.seconds: is now called output.rolling.file_s, which is also given"
    )
    assert "output.rolling.keep_second: no such setting" in clauses


def test_both_keys_in_two_assignments_are_refused(tmp_path: Path) -> None:
    both = ["output.rolling.seconds=5", "output.rolling.file_s=6"]
    for assignments in (both, both[::-1]):
        keys = [assignment.partition("=")[0] for assignment in assignments]
        words = f"--set {keys[1]}: is the same setting as {keys[0]}, which is also given"
        with pytest.raises(ConfigError, match=words):
            load(tmp_path, "{}", *assignments)
    assert load(tmp_path, "{}", both[1], both[1]).output.rolling.file_s == 6


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("fit.size=big", "fit.size: a size must be HEIGHTxWIDTH, for example 720x1280, got 'big'"),
        ("fit.size=[1,2,3]", "fit.size: a size is HEIGHTxWIDTH"),
        ("output.rolling.megabytes=much", "output.rolling.file_bytes: input should be a valid int"),
        ("output.rolling.keep_seconds=0", "output.rolling.keep_s: input should be greater than 0"),
    ],
)
def test_values_that_cannot_be_taken_over_are_named(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [assignment], {})
    assert words in str(caught.value)


def test_reports_keep_the_old_keys(tmp_path: Path) -> None:
    told = report_settings(load(tmp_path, NEW))
    assert told["fit"] == {"mode": "stretch", "size": [512, 1024], "double_below": 0}
    assert told["output"]["rolling"] == {
        "seconds": 5,
        "megabytes": 1.5,
        "overlay": True,
        "keep_files": None,
        "keep_seconds": 90,
        "keep_megabytes": 20,
    }
    assert list(told["output"]["rolling"])[:2] == ["seconds", "megabytes"]
    assert told["output"]["events"]["rules"][1] == {
        "name": "low",
        "class_name": "Sky",
        "above": None,
        "below": 0.1,
        "for_seconds": 1,
        "clear": None,
        "clear_for_seconds": None,
    }
    assert report_settings(RunConfig())["fit"]["size"] is None


def test_the_british_keys_of_a_recipe_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("recipe: {optimiser: {name: sgd}, augmentation: {colour: 0.3}}")
    config = load_train_config(str(file), ["recipe.optimiser.momentum=0.5"])
    assert config.recipe is not None
    assert (config.recipe.optimizer.name, config.recipe.optimizer.momentum) == ("sgd", 0.5)
    assert config.recipe.augmentation.color == 0.3
    assert caplog.messages == [
        "recipe.optimiser is now called recipe.optimizer",
        "recipe.augmentation.colour is now called recipe.augmentation.color",
    ]
    told = report_settings(config)["recipe"]
    assert next(iter(told)) == "optimiser"
    assert told["augmentation"]["colour"] == 0.3
