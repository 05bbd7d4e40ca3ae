"""Only what stands for 127.0.0.0/8 or ::1, and for nothing else, is this machine."""

import ipaddress
import socket
from typing import Any

import pytest

from icstream.stages.loopback import is_loopback, is_loopback_number

# RFC 6890, tables 4 and 15; the others are special addresses of the same tables, or public ones.
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
OTHERS = ("0.0.0.0/8", "10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "::/128", "fe80::/10")


def resolve_to(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> None:
    """Has names stand for these addresses, and for nothing else."""

    def getaddrinfo(host: str, port: Any, **_: Any) -> list[Any]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (number, 0)) for number in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("network", LOOPBACK, ids=str)
def test_every_loopback_address_is_this_machine(network: Any) -> None:
    for address in {network[0], network[-1], network[network.num_addresses // 2]}:
        assert is_loopback_number(str(address))
        assert is_loopback(str(address))


@pytest.mark.parametrize("text", OTHERS)
def test_other_addresses_are_not(text: str) -> None:
    network = ipaddress.ip_network(text)
    for address in (network[0], network[-1]):
        assert not is_loopback_number(str(address))
        assert not is_loopback(str(address))


def test_the_neighbours_of_the_loopback_networks_are_not_in_them() -> None:
    for network in LOOPBACK:
        assert not is_loopback_number(str(network[0] - 1))
        assert not is_loopback_number(str(network[-1] + 1))


def test_ipv4_addresses_count_as_such_when_written_as_ipv6() -> None:
    assert is_loopback_number("::ffff:127.0.0.1")
    assert not is_loopback_number("::ffff:192.0.2.1")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "[::1]", "127.1"])
def test_other_ways_to_write_this_machine_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("name", ["127.evil", "127.0.0.1.example.org"])
def test_names_that_look_like_loopback_count_as_what_they_stand_for(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_loopback_number(name)
    resolve_to(monkeypatch, **{name: ["192.0.2.1"]})
    assert not is_loopback(name)


def test_a_name_is_this_machine_only_if_all_its_addresses_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to(monkeypatch, own=["127.0.0.1", "::1"], mixed=["127.0.0.1", "192.0.2.1"])
    assert is_loopback("own")
    assert not is_loopback("mixed")


@pytest.mark.parametrize("host", ["127.evil", "a" * 70, ""])
def test_names_that_stand_for_nothing_are_an_error(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(host) < 64:  # too long a name is refused before it is looked up
        resolve_to(monkeypatch)
    with pytest.raises(OSError, match=r"."):
        is_loopback(host)
