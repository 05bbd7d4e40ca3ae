"""Fixtures for tests of the pipeline."""

from collections.abc import Iterator

import pytest

from support.servers import Server, serve_streets


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return a service with the weights "streets", shared by all tests."""
    with serve_streets() as service:
        yield service.wait_ready()
