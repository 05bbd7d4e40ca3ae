"""The service against its own OpenAPI description: requests made up from it, sound and not."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok

from support.servers import Server, serve_streets

pytestmark = pytest.mark.slow

BUSY = 503


@pytest.fixture(scope="module")
def service() -> Iterator[Server]:
    with serve_streets() as server:
        yield server.wait_ready()


def test_no_made_up_request_is_an_error_of_the_service(service: Server) -> None:
    schema = schemathesis.openapi.from_url(f"http://{service.address}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    for operation in operations:

        @settings(
            max_examples=12,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case[Any]) -> None:
            answer = case.call(timeout=30)
            assert answer.status_code < 500 or answer.status_code == BUSY, answer.text

        check()
    assert len(operations) > 5
    assert service.ask("/v2/health/live").status == 200
    assert not [line for line in service.log if "Traceback" in line]
