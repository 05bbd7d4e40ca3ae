"""Settings of `icstream serve`."""

import json

import pytest

from icstream.model import ConfigError
from icstream.pipeline.settings.loader import preset_names
from icstream.pipeline.settings.serve import load_serve_config
from icstream.stages.loopback import is_loopback
from support.commands import call


@pytest.fixture(autouse=True)
def _no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("rest_inference_port", raising=False)


def test_without_anything_it_listens_on_this_machine_where_the_plugin_did() -> None:
    config = load_serve_config(None, (), {})
    assert (config.server.host, config.server.port) == ("127.0.0.1", 5000)
    assert is_loopback(config.server.host)
    assert config.weights == {"camvid": "camvid"}


@pytest.mark.parametrize("name", preset_names("serve"))
def test_ready_made_settings_can_be_read(name: str) -> None:
    assert not is_loopback(load_serve_config(name, (), {}).server.host)


def test_the_plugins_variable_names_the_port_where_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("rest_inference_port", "7001")
    assert load_serve_config("serve_network", (), {}).server.port == 7001
    assert load_serve_config(None, ["server.port=7002"], {}).server.port == 7002
    assert load_serve_config(None, ["server.port=7002"], {"server.port": 0}).server.port == 0
    monkeypatch.setenv("rest_inference_port", "")
    assert load_serve_config(None, (), {}).server.port == 5000
    monkeypatch.setenv("rest_inference_port", "http")
    with pytest.raises(ConfigError, match="rest_inference_port: must be a port, got 'http'"):
        load_serve_config(None, (), {})


def test_weights_have_the_name_that_is_given_or_their_files() -> None:
    texts = ["runs/mine/best.safetensors", "small=streets"]
    weights = load_serve_config("serve_network", (), {}, weights=texts).weights
    assert weights == {"best": "runs/mine/best.safetensors", "small": "streets"}


def test_sizes_are_written_as_width_and_height() -> None:
    config = load_serve_config(None, ["model.warm_up_sizes=[480x360, 1280x720]"], {})
    assert config.model.warm_up_sizes == [(360, 480), (720, 1280)]


def test_old_keys_keep_their_meaning_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assignments = ["model.warm_up=[360x480, 720x1280]", "limits.pictures=3"]
    config = load_serve_config(None, assignments, {})
    assert config.model.warm_up_sizes == [(360, 480), (720, 1280)]
    assert config.limits.images == 3
    assert caplog.messages == [
        "model.warm_up is now called model.warm_up_sizes",
        "limits.pictures is now called limits.images",
    ]


def test_all_faults_are_reported_at_once() -> None:
    assignments = ["limits.requests=0", "server.hosts=x", "weights={}"]
    with pytest.raises(ConfigError) as error:
        load_serve_config(None, assignments, {})
    text = str(error.value)
    assert "limits.requests" in text
    assert "server.hosts: no such setting; did you mean server.host?" in text
    assert "weights: at least one model is required" in text


def test_the_schema_can_be_printed() -> None:
    schema = json.loads(call("config", "schema", "--of", "serve").stdout)
    assert set(schema["properties"]) == {"weights", "server", "model", "fit", "limits"}
    assert (
        "access token"
        in schema["$defs"]["ServerSettings"]["properties"]["token_file"]["description"]
    )
