"""What tests of the pipeline share."""

from collections.abc import Iterator

import pytest

from support.servers import Server, serve_streets


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Gives a service with the weights "streets" that all tests may ask."""
    with serve_streets() as service:
        yield service.wait_ready()
