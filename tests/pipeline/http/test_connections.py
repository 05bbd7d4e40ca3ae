"""Connections over real sockets: silent ones, many of them, and clients that take no answer."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from icstream.pipeline.http import connections
from icstream.pipeline.http.connections import Connections
from icstream.pipeline.http.server import RepeatFilter, make_server

MAX_REQUESTS = 4
LARGE = 64 * 2**20
"""Bytes that no socket's buffers hold."""


class SmallServer:
    """An application of three paths behind the bounds of connections."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.sending = 0
        self.num_errors = 0
        self.connections = Connections(
            max_requests=MAX_REQUESTS, send_s=0.5, is_probe="/health".__eq__
        )
        self._server = make_server(self._app, self.connections, stop_s=1)
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.release.set)
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.loop = asyncio.get_running_loop()
        response: Response = PlainTextResponse("yes")
        if scope["path"] == "/wait":
            await self.release.wait()
        elif scope["path"] == "/large":
            self.sending += 1
            response = Response(bytes(LARGE))
        elif scope["path"] == "/body":
            response = PlainTextResponse(str(len(await Request(scope, receive).body())))
        try:
            await response(scope, receive, send)
            if scope["path"] == "/error":
                self.num_errors += 1
                raise OSError("after the answer")
        finally:
            self.sending -= scope["path"] == "/large"

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(sent)
        return connection

    def status(self, path: str = "/", *, connection: socket.socket | None = None) -> int:
        """Return the status of an answer."""
        own = connection or self.connect()
        own.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\nyes" not in answer and (more := own.recv(4096)):
            answer += more
        if connection is None:
            own.close()
        return int(answer.split(b" ", 2)[1])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallServer]:
    monkeypatch.setattr(connections, "HEADERS_S", 0.4)
    small = SmallServer()
    small.status()
    yield small
    small.stop()


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("drip", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nA: b\r\n"])
def test_a_connection_without_complete_headers_is_closed(drip: bytes, server: SmallServer) -> None:
    with server.connect(drip) as connection:
        assert connection.recv(1) == b""


def test_headers_that_come_byte_by_byte_get_no_more_time(server: SmallServer) -> None:
    with server.connect() as connection:
        begun = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - begun < 8:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - begun < 8


def test_a_connection_in_steady_use_stays_open(server: SmallServer) -> None:
    with server.connect() as connection:
        for _ in range(12):  # three times the time for headers
            assert server.status(connection=connection) == 200
            time.sleep(0.1)


def test_silent_connections_make_way(server: SmallServer) -> None:
    silent = [server.connect() for _ in range(300)]
    assert server.status() == 200
    assert server.status("/health") == 200
    for connection in silent:
        connection.close()


def test_probes_are_answered_beyond_the_limit(server: SmallServer) -> None:
    request = b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n"
    held = [server.connect(request) for _ in range(MAX_REQUESTS)]
    wait_until(lambda: server.connections.num_in_progress == MAX_REQUESTS)
    assert server.status("/health") == 200
    with server.connect(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as refused:
        answer = refused.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in answer.lower()
    for connection in held:
        connection.close()


def test_clients_that_do_not_take_an_answer_lose_it(server: SmallServer) -> None:
    request = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with server.connect(request) as greedy, server.connect(request) as honest:
        wait_until(lambda: server.sending >= 1)
        honest.settimeout(10)
        received = 0
        while received < LARGE:
            received += len(honest.recv(2**20))
        wait_until(lambda: server.sending == 0)
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: greedy.recv(2**20), b""))


def test_a_body_that_nobody_reads_keeps_no_connection(server: SmallServer) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with server.connect(head) as connection:
        answer = b""
        while b"yes" not in answer:
            answer += connection.recv(4096)
        connection.sendall(b"x")
        assert connection.recv(1) == b""


def test_a_body_that_nobody_reads_does_not_disturb_the_next_request(server: SmallServer) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
    with server.connect(head + bytes(300_000)) as connection:
        answer = b""
        while b"yes" not in answer:
            answer += connection.recv(4096)
        assert server.status(connection=connection) == 200


def test_a_body_in_tiny_chunks_is_refused_and_holds_up_nobody(server: SmallServer) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server.connect(head) as connection, suppress(ConnectionError):
        connection.sendall(b"1\r\na\r\n" * 500_000)
        assert connection.recv(12) == b"HTTP/1.1 400"
    with server.connect(head + b"20\r\n" + bytes(32) + b"\r\n" + b"0\r\n\r\n") as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
    with server.connect(head) as connection:
        for _ in range(2000):
            connection.sendall(b"20\r\n" + bytes(32) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        answer = b""
        while not answer.endswith(b"64000"):
            answer += connection.recv(4096)


def test_nonsense_behind_an_answer_closes_the_connection_without_a_word(
    server: SmallServer, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server.connect(head) as connection:
        answer = b""
        while not answer.endswith(b"yes"):
            answer += connection.recv(4096)
        connection.sendall(b"no length\r\n")
        assert connection.recv(1) == b""
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_of_each_connection_a_little_is_read_at_once(server: SmallServer) -> None:
    sizes: list[int] = []

    class Noting(connections.Connection):
        def data_received(self, data: bytes) -> None:
            sizes.append(len(data))
            super().data_received(data)

    server.connections.protocol = (  # type: ignore[method-assign]
        lambda **arguments: Noting(server.connections, **arguments)
    )
    length = 2**20
    head = f"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    with server.connect(head.encode() + bytes(length)) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert max(sizes, default=0) <= 2**14


def test_an_error_that_was_answered_leaves_the_connection(server: SmallServer) -> None:
    with server.connect() as connection:
        assert server.status("/error", connection=connection) == 200
        wait_until(lambda: server.num_errors)
        assert server.status(connection=connection) == 200


def test_lines_in_the_log_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.repeated")
    repeat = RepeatFilter(every_s=0.2)
    logger.addFilter(repeat)
    for number in range(50):
        logger.warning("client %d sent nonsense", number)
    time.sleep(0.25)
    logger.warning("client %d sent nonsense", 50)
    logger.removeFilter(repeat)
    assert caplog.messages == [
        "client 0 sent nonsense",
        "client 50 sent nonsense (and 49 more times before)",
    ]
