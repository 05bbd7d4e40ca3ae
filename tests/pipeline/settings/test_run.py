"""Settings: defaults, YAML, --set and options, each over the one before; faults all at once."""

from pathlib import Path

import pytest

from icstream.model import ConfigError, Fit
from icstream.pipeline.settings.live import merge_live
from icstream.pipeline.settings.loader import preset_names
from icstream.pipeline.settings.old_keys import report_settings
from icstream.pipeline.settings.run import RunConfig, load_config


def test_options_win_over_set_over_yaml_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("model: {threads: 3, precision: fp32, device: cpu}\nfit: {mode: native}\n")
    config = load_config(
        str(file),
        ["model.precision=bf16", "model.threads=4"],
        {"model.threads": 5, "model.weights": None},
    )
    assert (config.model.threads, config.model.precision, config.model.device) == (5, "bf16", "cpu")
    assert config.model.runtime == "auto"
    assert config.model.weights == "camvid"


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("# nothing\n")
    assert load_config(str(file), (), {}) == RunConfig()


def test_the_sides_of_a_fit_have_names() -> None:
    config = load_config(None, ["fit.mode=stretch", "fit.width=1024", "fit.height=512"], {})
    assert config.fit.fit() == Fit("stretch", (512, 1024))


def test_images_are_fitted_as_in_training_by_default() -> None:
    assert load_config(None, (), {}).fit.fit() is None
    doubled = load_config(None, ["fit.mode=native", "fit.double_below=400"], {})
    assert doubled.fit.fit() == Fit(double_below=400)
    with pytest.raises(ConfigError, match=r"need fit\.mode"):
        load_config(None, ["fit.double_below=400"], {})


def test_all_faults_are_named_at_once_with_the_nearest_known_key(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("model: {thread: 2, precision: fp8}\ndecode: {threads: 0}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(str(file), (), {})
    text = str(caught.value)
    assert "model.thread: no such setting; did you mean model.threads?" in text
    assert "model.precision" in text
    assert "'fp8'" in text
    assert "decode.threads" in text
    assert "\n" not in text
    assert str(file) in text


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("model.threads", "section.key=value"),
        ("model.threads=[", "not YAML"),
        ("fit.size=big", "HEIGHTxWIDTH"),
        ("fit.mode=stretch", "needs a size"),
        ("model.threads.deep=1", "model.threads"),
    ],
)
def test_errors_of_assignments_name_the_fault(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, ["model.threads=2", assignment], {})


@pytest.mark.parametrize(
    ("content", "words"),
    [("model: [", "line 1: not valid YAML"), ("- a\n", "got a list"), ("3", "got a int")],
)
def test_errors_of_files_name_the_fault(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_config(str(file), (), {})


@pytest.mark.parametrize(
    "text",
    [
        "streams: ['rtsp://admin:geheim@host']",
        "streams: [{source: 'rtsp://admin:geheim@host', max_fps: 3}]",
        "view: {token: [geheim]}",
        "live: {ffmpeg: 'headers=geheim'}",
    ],
)
def test_errors_contain_no_secrets(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(file), (), {})
    assert "geheim" not in str(caught.value)


def test_settings_of_other_sinks_are_reported_without_secrets() -> None:
    options = {"upload": {"url": "https://me:geheim@host/a", "api_key": "geheim", "level": 3}}
    config = load_config(None, (), {"output.options": options})
    assert config.output.options == options
    reported = report_settings(config)["output"]["options"]
    assert reported == {"upload": {"url": "https://host/a", "api_key": "...", "level": 3}}


def test_options_for_ffmpeg_are_reported_by_name_only() -> None:
    headers = {"headers": "Authorization: geheim"}
    entry = {"source": "rtsp://host/cam", "live": {"ffmpeg": headers, "max_fps": 3}}
    config = load_config(None, (), {"live.ffmpeg": headers, "streams": [entry]})
    told = config.model_dump(mode="json")
    assert told["live"]["ffmpeg"] == {"headers": "..."}
    assert told["streams"][0]["live"] == {"ffmpeg": {"headers": "..."}, "max_fps": 3}
    assert config.live.ffmpeg == headers
    assert merge_live(config.live, config.streams[0].live).ffmpeg == headers


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_config(str(tmp_path / "none.yaml"), (), {})


def test_every_ready_made_configuration_is_valid() -> None:
    assert preset_names() == ["camera", "dashcam"]
    for name in preset_names():
        assert load_config(name, (), {}).output.sinks
