"""Sockets say truly whether other machines can reach them."""

import ipaddress
import socket
from typing import Any

import pytest

from icstream.model import ConfigError
from icstream.pipeline.http.listen import Endpoint, listen_at, resolve
from icstream.pipeline.serve.listen import find_endpoint, read_token
from icstream.pipeline.settings.serve import ServerSettings
from icstream.pipeline.view.listen import open_listener

TOKEN = "a token of some length"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "LOCALHOST", "0.0.0.0"])
def test_a_socket_listens_at_its_reported_address(host: str) -> None:
    listener = listen_at(resolve(host, 0), backlog=4)
    with listener.socket:
        bound, port = listener.socket.getsockname()[:2]
        assert listener.loopback == ipaddress.ip_address(bound).is_loopback
        assert listener.url == (
            f"http://[{bound}]:{port}" if ":" in bound else f"http://{bound}:{port}"
        )
        with socket.create_connection((bound, port), timeout=5):
            pass


def foreign(host: str) -> list[Any]:
    """Return what a resolver would say if a name stood for this machine and for another."""
    ours, theirs = ("127.0.0.1", 0), ("192.0.2.1", 0)
    kind = socket.SOCK_STREAM
    return [(socket.AF_INET, kind, 6, "", place) for place in (ours, theirs)]


@pytest.mark.parametrize("host", ["127.evil", "127.0.0.1.example.org"])
def test_a_name_that_may_be_another_machine_needs_a_token(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ICSTREAM_SERVE_TOKEN", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: foreign(host))
    server = ServerSettings(host=host, port=0)
    endpoint = find_endpoint(server)
    assert not endpoint.loopback
    with pytest.raises(ConfigError, match="other machines can reach it"):
        read_token(server, loopback=endpoint.loopback)
    with pytest.raises(ConfigError, match="other machines can reach it"):
        open_listener("view.address", f"{host}:0", token=None)
    with open_listener("view.address", f"{host}:0", token=TOKEN).socket:
        pass


@pytest.mark.parametrize("host", ["LOCALHOST", "127.0.0.2"])
def test_other_names_of_this_machine_need_none(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICSTREAM_SERVE_TOKEN", raising=False)
    server = ServerSettings(host=host, port=0)
    assert read_token(server, loopback=find_endpoint(server).loopback) is None


def test_ipv6_hosts_may_stand_in_brackets() -> None:
    assert resolve("[::1]", 80).addresses == resolve("::1", 80).addresses
    assert resolve("[::1]", 80).loopback


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 70])
def test_a_host_that_is_none_is_one_line(host: str) -> None:
    with pytest.raises(ConfigError, match=f"{host}:5000: cannot listen"):
        find_endpoint(ServerSettings(host=host, port=5000))


def test_an_address_in_use_is_an_error_and_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint: Endpoint = resolve("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            listen_at(endpoint, backlog=1)
