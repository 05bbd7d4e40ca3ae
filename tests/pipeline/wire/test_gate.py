"""What peers may send to sockets that any program here can connect to."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from icstream.pipeline.wire import gate
from icstream.pipeline.wire.gate import Gate
from icstream.pipeline.wire.zmtp import (
    FrameReader,
    MessageLimit,
    SharedLimit,
    SubscriberLimit,
    ZmtpError,
)
from support.live_servers import free_port

GREETING = b"\xff" + 8 * b"\0" + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + 32 * b"\0"
"""ZMTP 3.0, https://rfc.zeromq.org/spec/23."""


def ready(kind: bytes) -> bytes:
    body = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return b"\x04" + bytes([len(body)]) + body


def part(content: bytes, *, more: bool = False) -> bytes:
    if len(content) > 255:
        return bytes([2 + more]) + len(content).to_bytes(8, "big") + content
    return bytes([more, len(content)]) + content


@contextmanager
def behind_gate(kind: int, endpoint: str, **options: Any) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(kind) as bound:
        bound.linger = 0
        before = Gate(bound, endpoint, **{"max_peers": 8, **options})
        try:
            yield bound
        finally:
            before.release()


@contextmanager
def subscribed(
    endpoint: str, **options: Any
) -> Iterator[tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]]:
    """Yield a publisher behind a gate, and a subscriber that it reaches."""

    def check(_: Callable[[], None]) -> SubscriberLimit:
        return SubscriberLimit(max_topics=20, max_topic_bytes=100)

    with (
        behind_gate(zmq.PUB, endpoint, make_check=check, **options) as pub,
        zmq.Context() as context,
        context.socket(zmq.SUB) as sub,
    ):
        sub.linger = 0
        sub.connect(endpoint)
        sub.subscribe(b"")
        while not sub.poll(50):
            pub.send(b"mask")
        yield pub, sub


@pytest.fixture(params=["tcp", "ipc"])
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "ipc":
        return f"ipc://{tmp_path / 'gate'}"
    return f"tcp://127.0.0.1:{free_port()}"


def raw(endpoint: str) -> socket.socket:
    kind, _, place = endpoint.partition("://")
    if kind == "ipc":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(place)
    else:
        host, _, port = place.rpartition(":")
        connection = socket.create_connection((host, int(port)))
    connection.settimeout(10)
    return connection


def connected(endpoint: str, kind: bytes) -> socket.socket:
    """Return a connection behind the handshake, in which each waits for the other."""
    peer = raw(endpoint)
    peer.sendall(GREETING)
    answer = b""
    while b"Socket-Type" not in answer:
        answer += peer.recv(4096)
    peer.sendall(ready(kind))
    return peer


def is_hung_up(connection: socket.socket) -> bool:
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def limited(_: Callable[[], None]) -> MessageLimit:
    return MessageLimit(1_000_000)


def test_messages_of_many_parts_and_sizes_pass(endpoint: str) -> None:
    sizes = [0, 1, 254, 255, 256, 8191, 8192, 8193, 70_000, 400_000]
    parts = [bytes([size % 251]) * size for size in sizes]
    with (
        behind_gate(zmq.PULL, endpoint, make_check=limited) as pull,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as push,
    ):
        push.linger = 0
        push.connect(endpoint)
        for _ in range(50):
            push.send_multipart(parts)
            assert pull.poll(5000)
            assert pull.recv_multipart() == parts


@pytest.mark.parametrize("content", [b"", b"x" * 250, b"x" * 100_000])
def test_a_message_without_an_end_is_cut_off(endpoint: str, content: bytes) -> None:
    with (
        behind_gate(zmq.PULL, endpoint, make_check=limited) as pull,
        connected(endpoint, b"PUSH") as peer,
    ):
        endless = part(content, more=True) * max(1, 65536 // (len(content) + 2))
        num_sent = 0
        with suppress(OSError):  # hung up: a broken pipe, or a reset
            while num_sent < 100_000_000:
                peer.sendall(endless)
                num_sent += len(endless)
        assert num_sent < 100_000_000
        assert pull.poll(100) == 0


def test_many_messages_without_an_end_take_no_more_than_one(endpoint: str) -> None:
    limit = SharedLimit(3_000_000, max_message_bytes=1_000_000)
    with (
        behind_gate(zmq.PULL, endpoint, make_check=limit.make_check) as pull,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as push,
    ):
        large = part(b"x" * 900_000, more=True)
        peers = [connected(endpoint, b"PUSH") for _ in range(6)]
        for peer in peers:
            with suppress(OSError):
                peer.sendall(large)
        # Those who send less are not disturbed.
        push.linger = 0
        push.connect(endpoint)
        for _ in range(20):
            push.send_multipart([b"a", b"b" * 10_000])
            assert pull.poll(5000)
            assert pull.recv_multipart() == [b"a", b"b" * 10_000]
        # Six of them have sent almost twice the limit; at least three are cut off for it.
        hang_ups = select.poll()
        for peer in peers:
            hang_ups.register(peer, select.POLLRDHUP)
        deadline_s = time.monotonic() + 10
        while len(hang_ups.poll(10)) < 3:
            assert time.monotonic() < deadline_s
        for peer in peers:
            peer.close()


def test_an_announced_part_that_is_too_large_is_cut_off_before_it_comes(endpoint: str) -> None:
    with (
        behind_gate(zmq.PULL, endpoint, make_check=limited),
        connected(endpoint, b"PUSH") as peer,
    ):
        peer.sendall(b"\x02" + (2**62).to_bytes(8, "big"))
        assert is_hung_up(peer)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xf0\x00",
        part(b"\x02x"),
        part(b"\x01", more=True),
        part(b"\x00never subscribed"),
        part(b"\x01" + b"x" * 5000),
        b"".join(part(b"\x01%d" % n) for n in range(100)),
        b"\x04\x09\x06CANCELxx",
        b"\x06" + (2**40).to_bytes(8, "big"),
    ],
)
def test_a_subscriber_that_talks_nonsense_stops_no_other(endpoint: str, nonsense: bytes) -> None:
    with subscribed(endpoint) as (pub, sub):
        with connected(endpoint, b"SUB") as peer:
            peer.sendall(nonsense)
            assert is_hung_up(peer)
        while sub.poll(100):
            sub.recv()
        pub.send(b"the next mask")
        assert sub.poll(5000)
        assert sub.recv() == b"the next mask"


def test_a_subscriber_may_come_and_go_and_change_its_topics(endpoint: str) -> None:
    def check(_: Callable[[], None]) -> SubscriberLimit:
        return SubscriberLimit(max_topics=3, max_topic_bytes=100)

    with behind_gate(zmq.PUB, endpoint, make_check=check) as pub, zmq.Context() as context:
        for _ in range(3):
            with context.socket(zmq.SUB) as sub:
                sub.linger = 0
                sub.connect(endpoint)
                for topic in (b"a", b"b", b"c", b"d", b"e"):
                    sub.subscribe(topic)
                    sub.subscribe(topic)
                    deadline = time.monotonic() + 10
                    while not sub.poll(20) and time.monotonic() < deadline:
                        pub.send(topic)
                    while sub.poll(20):
                        assert sub.recv() == topic
                    sub.unsubscribe(topic)
                    sub.unsubscribe(topic)


def test_connections_that_were_silent_make_way(endpoint: str) -> None:
    with (
        behind_gate(zmq.PULL, endpoint, make_check=limited, max_peers=3) as pull,
        connected(endpoint, b"PUSH") as speaks,
    ):
        speaks.sendall(part(b"first"))
        assert pull.poll(5000)
        silent = [connected(endpoint, b"PUSH"), raw(endpoint)]
        for number in range(4):
            with connected(endpoint, b"PUSH") as late:
                late.sendall(part(b"late %d" % number))
                while pull.poll(5000) and pull.recv() != b"late %d" % number:
                    pass
                speaks.sendall(part(b"still there"))
                assert pull.poll(5000)
                assert pull.recv() == b"still there"
        assert all(is_hung_up(peer) for peer in silent)
        for peer in silent:
            peer.close()


def test_of_connections_that_are_all_in_use_the_last_ones_are_closed(endpoint: str) -> None:
    with (
        behind_gate(zmq.PULL, endpoint, make_check=limited, max_peers=2) as pull,
        connected(endpoint, b"PUSH") as first,
        connected(endpoint, b"PUSH") as second,
    ):
        for peer in (first, second):
            peer.sendall(part(b"a"))
            assert pull.poll(5000)
            pull.recv()
        with raw(endpoint) as third:
            assert is_hung_up(third)
        first.sendall(part(b"b"))
        assert pull.poll(5000)
        assert pull.recv() == b"b"


def test_subscribers_keep_their_places_though_they_are_silent(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_SILENT_S", 0.0)

    with subscribed(endpoint, max_peers=1), raw(endpoint) as other:
        assert is_hung_up(other)


def test_the_parts_of_a_message_are_counted(endpoint: str) -> None:
    # Each takes 300 times as much memory in a reader as its three bytes on the wire.
    with (
        behind_gate(zmq.PULL, endpoint, make_check=limited),
        connected(endpoint, b"PUSH") as peer,
    ):
        with suppress(OSError):
            peer.sendall(1000 * part(b"x", more=True))
        assert is_hung_up(peer)


def test_frames_are_followed_wherever_the_bytes_are_cut() -> None:
    stream = GREETING + ready(b"PUSH")
    stream += part(b"a" * 20_000, more=True) + part(b"b") + part(b"c" * 300)
    for step in (1, 7, 64, 1000, len(stream)):
        seen: list[tuple[int, bool]] = []

        class Seen(MessageLimit):
            def check_size(self, size: int, *, more: bool) -> None:
                seen.append((size, more))  # noqa: B023 - of this round

        reader = FrameReader(Seen(10**9))
        for begin in range(0, len(stream), step):
            reader.feed(memoryview(stream)[begin : begin + step])
        assert seen == [(20_000, True), (1, False), (300, False)]


def test_a_peer_of_the_first_version_is_refused() -> None:
    with pytest.raises(ZmtpError, match="uses neither ZMTP 2 nor 3"):
        FrameReader(MessageLimit(1000)).feed(memoryview(b"\x01\x00\x03\x00abc"))
