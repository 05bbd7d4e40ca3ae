"""Rules and fixtures for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that this machine cannot run, and distribute the others by file and service."""
    _skip_without_cuda(items)
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            shares_service = "server" in getattr(item, "fixturenames", ())
            group = "service" if shares_service and item.path.parent.name == "serve" else item.path
            item.add_marker(pytest.mark.xdist_group(str(group)))


def _skip_without_cuda(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or os.environ.get("REQUIRE_CUDA"):
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set a separate cache for the tests and the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICSTREAM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real recordings and reference data."""
    folder = os.environ.get("ICSTREAM_DATA")
    if not folder:
        pytest.skip("ICSTREAM_DATA is not set: no real recordings to test with")
    return Path(folder)
