"""Rules and fixtures for all tests."""

import os
from collections import Counter
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
        _put_slow_groups_first(items)


def _put_slow_groups_first(items: list[pytest.Item]) -> None:
    """Sort groups by their number of slow tests, so that no process ends long after the others."""

    def group_of(item: pytest.Item) -> str:
        marker = item.get_closest_marker("xdist_group")
        assert marker is not None
        return str(marker.args[0])

    num_slow = Counter(group_of(item) for item in items if item.get_closest_marker("slow"))
    place: dict[str, int] = {}
    for item in items:
        place.setdefault(group_of(item), len(place))
    items.sort(key=lambda item: (-num_slow[group_of(item)], place[group_of(item)]))


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
    """Set a separate cache for the tests and the processes that they start.

    Test processes that run side by side share it, as compiling anew takes seconds.
    """
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared-cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICSTREAM_CACHE", str(cache))
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real recordings and reference data."""
    folder = os.environ.get("ICSTREAM_DATA")
    if not folder:
        pytest.skip("ICSTREAM_DATA is not set: no real recordings to test with")
    return Path(folder)
