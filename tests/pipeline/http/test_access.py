"""What the Host header of a request may be where no token is asked for."""

import pytest

from icstream.pipeline.http.access import is_secret, names_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8787", "127.0.0.1", "127.0.0.1:80", "127.0.0.2", "[::1]", "[::1]:80"],
)
def test_this_machine_is_known_by_its_own_names(host: str) -> None:
    assert names_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.evil", "127.0.0.1.example.org:80", "localhost.example", "0.0.0.0"],
)
def test_names_that_somebody_else_may_own_are_not(host: str) -> None:
    assert not names_loopback(host)


def test_secrets_are_compared_whatever_characters_they_hold() -> None:
    assert is_secret("a token é", "a token é")
    assert not is_secret("a token \udce9", "a token é")
