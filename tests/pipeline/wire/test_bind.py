"""Binding takes nobody's place: no file's, and not that of a socket that lives."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from icstream.pipeline.wire.bind import BoundEndpoint, check_endpoint


@pytest.fixture
def pull() -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(zmq.PULL) as found:
        found.linger = 0
        yield found


def test_a_file_at_the_path_stays_as_it_is(tmp_path: Path, pull: "zmq.Socket[bytes]") -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"all my pictures")
    for attempt in (check_endpoint, lambda endpoint: BoundEndpoint(pull, endpoint)):
        with pytest.raises(OSError, match="is a file"):
            attempt(f"ipc://{path}")
    assert path.read_bytes() == b"all my pictures"


def test_folders_and_links_are_refused_too(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, what in (("folder", "is a folder"), ("link", "is a link")):
        with pytest.raises(OSError, match=what):
            check_endpoint(f"ipc://{tmp_path / name}")
    assert (tmp_path / "link").is_symlink()


def test_a_socket_that_somebody_listens_at_is_in_use(
    tmp_path: Path, pull: "zmq.Socket[bytes]"
) -> None:
    endpoint = f"ipc://{tmp_path / 'in'}"
    bound = BoundEndpoint(pull, endpoint)
    for _ in range(2):
        with pytest.raises(OSError, match="in use"):
            check_endpoint(endpoint)
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        sender.linger = 0
        sender.connect(endpoint)
        sender.send(b"still heard")
        assert pull.poll(5000)
        assert pull.recv() == b"still heard"
    bound.release()
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_nobody_listens_at_any_more_is_replaced(
    tmp_path: Path, pull: "zmq.Socket[bytes]"
) -> None:
    path = tmp_path / "in"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()
    assert path.is_socket()
    BoundEndpoint(pull, f"ipc://{path}").release()
    assert list(tmp_path.iterdir()) == []


def test_what_took_the_place_meanwhile_is_not_removed(
    tmp_path: Path, pull: "zmq.Socket[bytes]"
) -> None:
    path = tmp_path / "in"
    bound = BoundEndpoint(pull, f"ipc://{path}")
    path.unlink()
    path.write_text("somebody else's")
    bound.release()
    assert path.read_text() == "somebody else's"


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="paths of sockets have at most 107 bytes"):
        check_endpoint(f"ipc://{tmp_path / ('x' * 108)}")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_every_way_to_write_this_machine_can_be_bound(host: str, pull: "zmq.Socket[bytes]") -> None:
    BoundEndpoint(pull, f"tcp://{host}:*")
    endpoint = pull.getsockopt_string(zmq.LAST_ENDPOINT)
    with pytest.raises(OSError, match="in use"):
        check_endpoint(endpoint)


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="permission denied"):
        check_endpoint(f"ipc://{tmp_path / 'in'}")
