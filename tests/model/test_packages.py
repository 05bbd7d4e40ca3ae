"""Packages are looked for by icstream's own metadata."""

import importlib.util
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.model.packages import check_installed, missing, module_of, requirements

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def named(texts: list[str]) -> list[str]:
    """Return the first words of requirements, which pyproject.toml writes without spaces."""
    return sorted(text.partition(";")[0].partition(">")[0] for text in texts)


def test_requirements_are_those_of_the_project() -> None:
    assert requirements() == named(PROJECT["dependencies"])
    for extra in ("serve", "onnx", "tensorboard"):
        assert requirements(extra) == named(PROJECT["optional-dependencies"][extra])


def test_modules_have_the_names_that_the_packages_install() -> None:
    installed = packages_distributions()
    for package in [*requirements(), *requirements("serve"), *requirements("onnx")]:
        module = module_of(package)
        found = {name.lower().replace("_", "-") for name in installed.get(module, [])}
        assert package in found or importlib.util.find_spec(module) is None


def test_what_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert missing(["numpy", "prometheus-client"]) == ["prometheus-client"]
    words = r"the view needs prometheus-client: pip install 'icstream\[serve\]'"
    with pytest.raises(ConfigError, match=words):
        check_installed(["numpy", "prometheus-client"], extra="serve", needed_by="the view")
