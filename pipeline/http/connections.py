"""Connections of a server, with limits on their number, deadlines, and probes that always pass.

uvicorn has no settings for most of this. Its protocol classes are not part of its public interface,
so pyproject.toml allows only versions that these classes were tested with.
"""

import asyncio
import logging
import re
import socket
import struct
from collections.abc import Callable
from typing import Any

import h11
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

HEADERS_S = 10.0
"""Time in seconds for the headers of a request, from the connection or their first byte on."""
KEEP_ALIVE_S = 75.0
"""Time in seconds for the next request on a connection; clients and proxies usually allow less."""
_SPARE = 64
"""Connections beyond the limit, which let probes in."""
_PIECE = 2**16
_READ_BYTES = 2**14
"""Most bytes read from a connection at once, so that other connections get their turn."""
_HEADERS_BYTES = 2**16
"""Most bytes of all headers of a request."""
_NUM_CHUNKS, _MIN_CHUNK_BYTES = 1000, 32
"""Number of chunks beyond which a body must have the given number of bytes per chunk on average,
because each chunk takes as much time as thousands of bytes."""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(/[^?]*)?(\?.*)?", re.IGNORECASE)
_UNAVAILABLE = PlainTextResponse(
    "too many requests at once\n", 503, {"Connection": "close", "Retry-After": "1"}
)


class Connections:
    """The connections of one server.

    A request is in progress from its complete headers to the end of its response. When there are
    too
    many connections, those without a request are closed, the oldest first. Probes are answered
    however many requests are in progress.
    """

    def __init__(
        self, *, max_requests: int, send_s: float, is_probe: Callable[[str], bool]
    ) -> None:
        """Set the limits of a server.

        Args:
            max_requests: the most requests in progress; others get status 503.
            send_s: the seconds for a client to receive a response.
            is_probe: a function that returns whether a path is answered under any load.
        """
        self.max_requests = max_requests
        self.send_s = send_s
        self.is_probe = is_probe
        self.num_in_progress = 0
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}

    def protocol(self, **arguments: Any) -> "Connection":
        """Return the protocol of a new connection, as uvicorn requires."""
        return Connection(self, **arguments)

    def add(self, connection: "Connection") -> None:
        """Add a connection, closing the oldest waiting one if there are too many."""
        if len(self._open) >= self.max_requests + _SPARE:
            oldest = next(iter(self._waiting), connection)
            oldest.transport.abort()
            self.discard(oldest)
        self._open.add(connection)

    def discard(self, connection: "Connection") -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def set_waiting(self, connection: "Connection", waiting: bool) -> None:
        """Record whether a connection has no request in progress."""
        if not waiting:
            self._waiting.pop(connection, None)
        elif connection in self._open:
            self._waiting.setdefault(connection)


class _RequestParser(h11.Connection):
    """A parser of requests that knows absolute URLs, and rejects bodies in tiny chunks."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, _HEADERS_BYTES)
        self._num_chunks = self._num_bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """See base class."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._num_chunks = self._num_bytes = 0
            event = _with_own_path(event)
        elif isinstance(event, h11.Data):
            self._num_chunks += 1
            self._num_bytes += len(event.data)
            if self._num_bytes < _MIN_CHUNK_BYTES * (self._num_chunks - _NUM_CHUNKS):
                raise h11.RemoteProtocolError("the body has too many tiny chunks")
        return event


def _with_own_path(request: h11.Request) -> h11.Request:
    """Return a request for `http://HOST/PATH`, as sent to proxies, as one for `/PATH` at HOST.

    The host in the URL counts, not the one in the header (RFC 9112, section 3.2.2).
    """
    absolute = _ABSOLUTE.fullmatch(request.target)
    if absolute is None:
        return request
    host, path, query = absolute.groups(b"")
    headers = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=(path or b"/") + query,
        headers=[(b"host", host), *headers],
        http_version=request.http_version,
    )


class Connection(H11Protocol):
    """A connection whose client must send headers and receive responses in time."""

    def __init__(self, owner: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.conn = _RequestParser()
        self._owner = owner
        self._served: ASGIApp = self.app
        self.app = self._answer
        self._headers_timer: asyncio.TimerHandle | None = None
        self._sent_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See base class."""
        super().connection_made(transport)
        # The most that asyncio reads from a socket at once, for which there is no public setting.
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        self._owner.add(self)
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """See base class."""
        self._owner.discard(self)
        for timer in (self._headers_timer, self._sent_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """See base class."""
        super().data_received(data)
        self._watch_headers()

    def send_400_response(self, msg: str) -> None:
        """Respond to invalid HTTP; uvicorn calls this even after a response."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request; called by uvicorn."""
        super().on_response_complete()
        self._watch_sending()
        if self._is_waiting():  # its keep-alive time has begun
            self._owner.set_waiting(self, True)
        else:
            self._watch_headers()

    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _watch_headers(self) -> None:
        """Set a deadline for incomplete headers, and cancel that of complete ones."""
        waiting = self._is_waiting()
        self._owner.set_waiting(self, waiting)
        if not waiting and self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None
        elif waiting and self._headers_timer is None and not self.transport.is_closing():
            self._headers_timer = self.loop.call_later(HEADERS_S, self._hang_up)

    def _hang_up(self) -> None:
        self._headers_timer = None
        if self._is_waiting():
            self.transport.close()
            self._watch_sending()

    def _watch_sending(self) -> None:
        """Set a deadline for the data that the connection has yet to send."""
        if self._sent_timer is not None:
            self._sent_timer.cancel()
            self._sent_timer = None
        if self.transport.get_write_buffer_size():
            self._sent_timer = self.loop.call_later(self._owner.send_s, self._end_sending)

    def _end_sending(self) -> None:
        self._sent_timer = None
        if self._is_waiting() and self.transport.get_write_buffer_size():
            self._reset()

    def _reset(self) -> None:
        """Close the connection, and discard unsent data, also in the system's buffers."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.transport.abort()
        self.cycle.disconnected = True  # otherwise uvicorn would wait to send the rest

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application if another request is allowed."""
        owner = self._owner
        if owner.is_probe(scope["path"]):
            await self._serve(scope, receive, send)
        elif owner.num_in_progress >= owner.max_requests:
            log.warning("more than %d requests at a time: refusing some", owner.max_requests)
            await _UNAVAILABLE(scope, receive, send)
        else:
            owner.num_in_progress += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                owner.num_in_progress -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and send its response in pieces.

        The memory of the response stays with the application until the client has received nearly
        all of
        it, and a client that is too slow loses its connection.
        """
        sending: asyncio.Timeout | None = None

        async def send_in_pieces(message: Message) -> None:
            nonlocal sending
            if message["type"] != "http.response.body":
                await send(message)
                return
            body = message.get("body", b"")
            pieces = [body[i : i + _PIECE] for i in range(0, len(body), _PIECE)] or [b""]
            more = message.get("more_body", False)
            async with asyncio.timeout(self._owner.send_s) as sending:
                for number, piece in enumerate(pieces, start=1):
                    await send(
                        {**message, "body": piece, "more_body": more or number < len(pieces)}
                    )

        try:
            await self._served(scope, receive, send_in_pieces)
        except asyncio.CancelledError:  # the server stops, and cannot wait any longer
            self._reset()
        except TimeoutError:
            if sending is None or not sending.expired():
                raise
            self._reset()
        except Exception:
            if not self.cycle.response_complete:
                raise
            log.exception(
                "unexpected error, answered with status 500"
            )  # the connection stays usable
