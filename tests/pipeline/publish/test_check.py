"""Addresses for subscribers: what is there stays, and who may subscribe is settled."""

from pathlib import Path

import pytest
import zmq

from icstream.model import ConfigError
from icstream.pipeline.publish.check import check_publish
from icstream.pipeline.settings.publish import PublishSettings
from support.live_servers import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_every_way_to_write_this_machine_will_do(host: str) -> None:
    check_publish(PublishSettings(address=f"tcp://{host}:{free_port()}"))


def test_a_file_in_the_place_of_a_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"all my pictures")
    with pytest.raises(ConfigError, match=r"holiday\.mp4: cannot be used \(is a file"):
        check_publish(PublishSettings(address=f"ipc://{path}"))
    assert path.read_bytes() == b"all my pictures"


def test_an_address_in_use_is_refused(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'masks'}"
    with zmq.Context() as context, context.socket(zmq.PUB) as other:
        other.bind(address)
        with pytest.raises(ConfigError, match="in use"):
            check_publish(PublishSettings(address=address))


@pytest.mark.parametrize("place", ["@masks", "*"])
def test_addresses_that_no_permissions_protect_are_refused(place: str) -> None:
    with pytest.raises(ConfigError, match=r"use ipc://PATH"):
        check_publish(PublishSettings(address=f"ipc://{place}"))


@pytest.mark.parametrize("port", ["0", "65536", "99999", "*", "", "-1", "\u00b2", "5555;6666"])
def test_a_port_that_nobody_could_be_told_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="with a port of 1 to 65535"):
        check_publish(PublishSettings(address=f"tcp://127.0.0.1:{port}"))
