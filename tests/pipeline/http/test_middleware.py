"""Who may pass, and what headers answers get, without a server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Scope

from icstream.pipeline.http.middleware import AuthMiddleware, HeadersMiddleware, Refusal

TOKEN = "a token of some length"
COOKIE = ("session", "stands for it")


def request(
    app: ASGIApp, path: str = "/", *, kind: str = "http", headers: Mapping[str, str] = {}
) -> list[Message]:
    """Gives the messages that an application sends for a request."""
    sent: list[Message] = []
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": kind, "method": "GET", "path": path, "headers": raw}

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        await app(scope, receive, send)

    asyncio.run(run())
    return sent


def refuse(_scope: Scope, refusal: Refusal) -> Response:
    return PlainTextResponse(refusal, 403 if refusal == "foreign_host" else 401)


def status(*, headers: Mapping[str, str] = {}, path: str = "/", **options: Any) -> int:
    """Gives the status of a request to a guarded application."""
    options = {"token": None, "loopback": True, "cookie": None} | options
    app = AuthMiddleware(
        PlainTextResponse("in"), is_open="/health".__eq__, refuse=refuse, **options
    )
    code: int = request(app, path, headers=headers)[0]["status"]
    return code


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": f"bearer  {TOKEN} "}, 200),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Cookie": 'a=b; session="stands for it"'}, 200),
        ({"Cookie": "session=something"}, 401),
        ({"Cookie": f"session={TOKEN}"}, 401),
        ({"Authorization": "Bearer x", "Cookie": 'session="stands for it"'}, 401),
    ],
)
def test_with_a_token_a_request_must_bring_it(headers: dict[str, str], expected: int) -> None:
    assert status(headers=headers, token=TOKEN, cookie=COOKIE) == expected


def test_without_a_cookie_only_the_header_counts() -> None:
    assert status(headers={"Cookie": 'session="stands for it"'}, token=TOKEN) == 401


@pytest.mark.parametrize(
    ("host", "loopback", "expected"),
    [
        ("localhost:80", True, 200),
        ("evil.example", True, 403),
        ("127.evil", True, 403),
        ("evil.example", False, 200),
    ],
)
def test_without_one_this_machine_must_be_called_by_its_name(
    host: str, loopback: bool, expected: int
) -> None:
    assert status(headers={"Host": host}, loopback=loopback) == expected


def test_open_paths_are_for_everybody() -> None:
    assert status(path="/health", token=TOKEN) == 200
    assert status(path="/health", headers={"Host": "evil.example"}) == 200
    assert status(path="/health/", token=TOKEN) == 401


def test_web_sockets_do_not_pass_by_the_token() -> None:
    app = AuthMiddleware(
        PlainTextResponse("in"),
        token=TOKEN,
        loopback=True,
        is_open=lambda path: True,
        refuse=refuse,
    )
    assert request(app, kind="websocket") == []


def test_headers_are_added_where_a_response_has_none_of_its_own() -> None:
    inner = PlainTextResponse("in", headers={"Cache-Control": "no-cache"})
    app = HeadersMiddleware(inner, {"Cache-Control": "no-store", "X-Frame-Options": "DENY"})
    headers = dict(request(app)[0]["headers"])
    assert headers[b"cache-control"] == b"no-cache"
    assert headers[b"x-frame-options"] == b"DENY"
