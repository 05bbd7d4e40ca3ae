"""Inference configurations: the plugin's own, version 1, ready-made ones, and faults."""

import json
from pathlib import Path
from typing import Any

import pytest

from icstream.model import ConfigError
from icstream.pipeline.settings.annotate import build_annotate_config, load_annotate_config
from icstream.pipeline.settings.loader import preset_names
from icstream.stages.annotate.modes import Bboxes, FullImage, Roi, SlidingWindow, pixels


def build(values: dict[str, Any]) -> Any:
    return build_annotate_config(values, origin="own.json")


@pytest.mark.parametrize(
    "values", [{}, {"model": {}}, {"model": {}, "mode": {"name": "full_image"}}]
)
def test_the_default_mode_is_the_whole_image(values: dict[str, Any]) -> None:
    config = build(values)
    assert isinstance(config.mode, FullImage)
    assert config.model.gpu_device == 0
    if values.get("mode"):
        assert config.mode.model_classes.add_suffix == "_icnet"


def test_without_a_mode_the_plugin_suffix_holds() -> None:
    assert build({}).mode.model_classes.add_suffix == "_icnet"
    assert build({"model": {}, "mode": {"name": "roi"}}).mode.model_classes.add_suffix == ""


def test_what_is_written_is_laid_over_the_defaults() -> None:
    mode = build({"model": {}, "mode": {"name": "roi", "bounds": {"left": "5%"}}}).mode
    assert isinstance(mode, Roi)
    assert (mode.bounds.left, mode.bounds.top, mode.class_name) == ("5%", "0px", "inference_roi")
    mode = build({"model": {}, "mode": {"name": "objects", "padding": {"top": "-3px"}}}).mode
    assert isinstance(mode, Bboxes)
    assert (mode.padding.top, mode.padding.left, mode.from_classes) == ("-3px", "0px", "__all__")
    mode = build({"model": {}, "mode": {"name": "sliding_window", "window": {"width": 64}}}).mode
    assert isinstance(mode, SlidingWindow)
    assert (mode.window.width, mode.window.height, mode.min_overlap.x) == (64, 128, 0)


def test_configurations_of_version_1_are_converted() -> None:
    config = build(
        {
            "gpu_device": 1,
            "model_classes": {"save_classes": ["car"], "add_suffix": "_v1"},
            "existing_objects": {"save_classes": [], "add_suffix": ""},
            "mode": {"source": "roi", "bounds": {"top": "10%"}},
        }
    )
    assert config.model.gpu_device == 1
    assert isinstance(config.mode, Roi)
    assert config.mode.model_classes.saved_name("car") == "car_v1"
    assert config.mode.model_classes.saved_name("road") is None
    assert config.mode.existing_objects == "replace"
    everything = {"save_classes": "__all__", "add_suffix": ""}
    assert build({"existing_objects": everything}).mode.existing_objects == "keep"


def test_ready_made_ones_are_those_of_the_plugin_with_background(data_dir: Path) -> None:
    presets = {
        entry["title"]: entry["config"]
        for entry in json.loads((data_dir / "plugin_configs" / "presets.json").read_text())
        if entry["type"] == "inference"
    }
    assert preset_names("annotate") == sorted(f"annotate_{title}" for title in presets)
    for title, values in presets.items():
        ours = load_annotate_config(f"annotate_{title}").model_dump()
        assert ours["mode"].pop("background") == "compete"
        plugin = build(values).model_dump()
        assert plugin["mode"].pop("background") == "plugin"
        assert ours == plugin


def test_the_readme_example_of_the_plugin_is_taken(data_dir: Path) -> None:
    file = data_dir / "plugin_configs" / "inference_readme.json"
    assert load_annotate_config(str(file)) == build({})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"model": {"gpu_device": "0"}, "mode": {"name": "roi", "bound": {}, "save": "no"}},
            [
                "own.json: model.gpu_device: ",
                "mode.save: ",
                "mode.bound: no such setting; did you mean mode.bounds?",
            ],
        ),
        (
            {"model": {"min_score_treshold": 0.5}, "mode": {"name": "video"}},
            [
                "mode.name: got 'video', allowed are full_image, roi",
                "model.min_score_treshold: no such setting; did you mean model.min_score_th",
            ],
        ),
        (
            {"model": {}, "mode": {"name": "roi", "bounds": {"left": "-1px", "top": "2.5%"}}},
            ["mode.bounds.left: must not be neg", "mode.bounds.top: must be whole", "got '2.5%'"],
        ),
        (
            {"model": {}, "mode": {"name": "full_image", "model_classes": {"save_classes": "car"}}},
            ["mode.model_classes.save_classes: must be \"__all__\" or a list of names, got 'car'"],
        ),
        (
            {
                "model": {},
                "mode": {"name": "sliding_window", "min_overlap": {"x": 128}},
            },
            ["mode: min_overlap.x 128 must be less than window.width 128"],
        ),
        ({"model": {}, "mode": "roi"}, ["mode: "]),
        ({"model": {"min_score_threshold": 1.5}}, ["model.min_score_threshold"]),
        ({"existing_objects": {"save_classes": ["a"]}}, ["use mode.existing_objects: keep"]),
        ({"mode": {"source": "roi", "name": "roi"}}, ["mode.source: version 1's name"]),
    ],
)
def test_all_faults_are_reported_together(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(values)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "side", "wanted"),
    [("10px", 7, 10), ("33%", 100, 33), ("29%", 100, 29), ("-33%", 10, -3), ("99%", 1, 0)],
)
def test_percent_are_cut_towards_zero(text: str, side: int, wanted: int) -> None:
    assert pixels(text, side) == wanted
