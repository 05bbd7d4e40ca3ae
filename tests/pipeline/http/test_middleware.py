"""Who may pass, and what headers answers get, without a server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Scope

from icstream.pipeline.http.middleware import (
    AuthMiddleware,
    HeadersMiddleware,
    PrefixMiddleware,
    Refusal,
    route_path,
)

TOKEN = "a token of some length"
COOKIE = ("session", "stands for it")


def request(
    app: ASGIApp,
    path: str = "/",
    *,
    kind: str = "http",
    method: str = "GET",
    headers: Mapping[str, str] = {},
) -> list[Message]:
    """Return the messages that an application sends for a request."""
    sent: list[Message] = []
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": kind, "method": method, "path": path, "headers": raw}

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        await app(scope, receive, send)

    asyncio.run(run())
    return sent


def refuse(_scope: Scope, refusal: Refusal) -> Response:
    return PlainTextResponse(refusal, 401 if refusal == "token_needed" else 403)


def status(
    *, headers: Mapping[str, str] = {}, path: str = "/", method: str = "GET", **options: Any
) -> int:
    """Return the status of a request to a guarded application."""
    options = {"token": None, "loopback": True, "cookie": None} | options
    app = AuthMiddleware(
        PlainTextResponse("in"), is_open="/health".__eq__, refuse=refuse, **options
    )
    code: int = request(app, path, method=method, headers=headers)[0]["status"]
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
        ({"Authorization": "Basic eDp5", "Cookie": 'session="stands for it"'}, 200),
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


def test_probes_may_send_no_host() -> None:
    assert status(headers={}) == 200
    assert status(headers={"Host": ""}) == 200


# Which requests browsers mark how: Fetch Metadata, section 2.3, and RFC 6454, section 7.
@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://cam.example"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
        ({"Origin": "http://localhost:5000"}, True),
        ({"Origin": "http://LOCALHOST:5000"}, True),
        ({"Origin": "http://localhost:3000"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[evil"}, False),
    ],
)
def test_pages_of_others_may_change_nothing(headers: dict[str, str], allowed: bool) -> None:
    host = {"Host": "localhost:5000"}
    expected = 200 if allowed else 403
    cookie = {"Cookie": 'session="stands for it"'}
    assert status(method="POST", headers=host | headers) == expected
    by_cookie = status(
        method="POST", headers=host | headers | cookie, token=TOKEN, cookie=COOKIE, loopback=False
    )
    assert by_cookie == expected
    assert status(method="GET", headers=host | headers) == 200
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert status(method="POST", headers=host | headers | bearer, token=TOKEN) == 200


@pytest.mark.parametrize(
    ("prefix", "path", "route", "root"),
    [
        ("/cam", "/cam/status", "/status", "/cam"),
        ("/cam/", "/status", "/status", "/cam"),
        ("/a/b", "/a/b/", "/", "/a/b"),
        ("/cam", "/camera", "/camera", "/cam"),
        ("/cam", "/cam/cam/x", "/cam/x", "/cam"),
        ("", "/status", "/status", ""),
        ("//evil.example", "/status", "/status", ""),
        ('/"><script>', "/status", "/status", ""),
        ("/cam", "*", "*", ""),
    ],
)
def test_a_proxy_may_offer_the_application_under_a_path(
    prefix: str, path: str, route: str, root: str
) -> None:
    seen: list[tuple[str, str]] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append((route_path(scope), scope.get("root_path", "")))

    request(PrefixMiddleware(app), path, headers={"X-Forwarded-Prefix": prefix})
    assert seen == [(route, root)]


def test_a_prefix_opens_no_path() -> None:
    app = PrefixMiddleware(
        AuthMiddleware(
            PlainTextResponse("in"),
            token=TOKEN,
            loopback=True,
            is_open=lambda path: path.startswith("/health"),
            refuse=refuse,
        )
    )
    for path in ("/health/health/secret", "/health/secret", "/secret"):
        code = request(app, path, headers={"X-Forwarded-Prefix": "/health"})[0]["status"]
        assert code == (200 if path.startswith("/health/health") else 401)


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
