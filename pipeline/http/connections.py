"""Connections of a server: bounds on their number, deadlines, and probes that are always answered.

uvicorn has no settings for most of this. Its protocol classes are not part of its public interface,
so pyproject.toml allows only versions that these classes were tested with.
"""

import asyncio
import logging
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
"""For the headers of a request, from the connection's beginning or their first byte on."""
KEEP_ALIVE_S = 75.0
"""For the next request on a connection; longer than clients and proxies usually keep one."""
_SPARE = 64
"""Connections beyond the limit, so that probes get in."""
_PIECE = 2**16
_READ_BYTES = 2**14
"""Taken from a connection at once, so that the others get their turn."""
_HEADERS_BYTES = 2**16
"""What the headers of a request may have together."""
_NUM_CHUNKS, _MIN_CHUNK_BYTES = 1000, 32
"""A body in more chunks than this must have so many bytes in each, on average: each costs as much
time as thousands of bytes."""
_UNAVAILABLE = PlainTextResponse(
    "too many requests at once\n", 503, {"Connection": "close", "Retry-After": "1"}
)


class Connections:
    """The connections of one server.

    A request is in progress from its complete headers to the end of its answer. Connections without
    one make way, the oldest first, where more come than there is room for. Probes are answered
    however many requests are in progress.
    """

    def __init__(
        self, *, max_requests: int, send_s: float, is_probe: Callable[[str], bool]
    ) -> None:
        """Make the bounds of a server.

        Args:
            max_requests: requests in progress at once; others get 503.
            send_s: time for a client to take an answer.
            is_probe: whether a path is one that is answered whatever the load.
        """
        self.max_requests = max_requests
        self.send_s = send_s
        self.is_probe = is_probe
        self.num_in_progress = 0
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}

    def protocol(self, **arguments: Any) -> "Connection":
        """Return the protocol of a new connection, as uvicorn asks for it."""
        return Connection(self, **arguments)

    def add(self, connection: "Connection") -> None:
        """Let a connection in, in the place of one that waits if there is no other."""
        if len(self._open) >= self.max_requests + _SPARE:
            oldest = next(iter(self._waiting), connection)
            oldest.transport.abort()
            self.discard(oldest)
        self._open.add(connection)

    def discard(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def set_waiting(self, connection: "Connection", waiting: bool) -> None:
        """Take note whether a connection has no request in progress."""
        if not waiting:
            self._waiting.pop(connection, None)
        elif connection in self._open:
            self._waiting.setdefault(connection)


class _RequestParser(h11.Connection):
    """Reads requests, and refuses bodies that come in tiny chunks."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, _HEADERS_BYTES)
        self._num_chunks = self._num_bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """See h11."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._num_chunks = self._num_bytes = 0
        elif isinstance(event, h11.Data):
            self._num_chunks += 1
            self._num_bytes += len(event.data)
            if self._num_bytes < _MIN_CHUNK_BYTES * (self._num_chunks - _NUM_CHUNKS):
                raise h11.RemoteProtocolError("the body comes in tiny chunks")
        return event


class Connection(H11Protocol):
    """A connection whose client must finish headers, and take answers, in time."""

    def __init__(self, owner: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.conn = _RequestParser()
        self._owner = owner
        self._served: ASGIApp = self.app
        self.app = self._answer
        self._headers_timer: asyncio.TimerHandle | None = None
        self._sent_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio's protocols."""
        super().connection_made(transport)
        # What asyncio takes from a socket at once; it has no public setting for it.
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        self._owner.add(self)
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio's protocols."""
        self._owner.discard(self)
        for timer in (self._headers_timer, self._sent_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """See asyncio's protocols."""
        super().data_received(data)
        self._watch_headers()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; called by uvicorn, also when there was an answer already."""
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
        """Set a deadline for headers that are not complete, and end that of complete ones."""
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
        """Set a deadline for what the connection has yet to send."""
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
        """Close the connection, and forget what is not sent, in the system's buffers too."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.transport.abort()
        self.cycle.disconnected = True  # uvicorn would else miss the rest of the answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, if there is room for another request."""
        owner = self._owner
        if owner.is_probe(scope["path"]):
            await self._serve(scope, receive, send)
        elif owner.num_in_progress >= owner.max_requests:
            log.warning("more than %d requests at once: some were refused", owner.max_requests)
            await _UNAVAILABLE(scope, receive, send)
        else:
            owner.num_in_progress += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                owner.num_in_progress -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and send its answer piece by piece.

        The answer's memory belongs to the application until its client has taken nearly all of it,
        and a client that does not take it in time loses its connection.
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
            log.exception("an error that was answered with 500")  # the connection is of use yet
