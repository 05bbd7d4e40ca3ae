"""Limits, tokens, starting and stopping of `icstream serve`."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.commands import call, error_line
from support.images import broken_images, encode, make_image, png_that_claims
from support.servers import Server, serve_streets

pytestmark = pytest.mark.slow

TOKEN = "a-token-for-tests"
MUCH = ("--workers", "1", "--set", "limits.images=1000")
LIMITS = (
    "limits.body_bytes=100000",
    "limits.pixels=10000",
    "limits.images=2",
    "limits.receive_s=1",
)


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """Return a service with tight limits and a token."""
    options = [part for limit in LIMITS for part in ("--set", limit)]
    environment = os.environ | {"ICSTREAM_SERVE_TOKEN": TOKEN}
    with serve_streets(*options, environment=environment) as service:
        yield service.wait_ready()


@pytest.fixture(scope="module")
def small() -> bytes:
    return encode(make_image(np.random.default_rng(1), 40, 60), "PNG")


def ask(server: Server, path: str, *arguments: Any, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"} | options.pop("headers", {})
    return server.ask(path, *arguments, headers=headers, **options)


@pytest.mark.parametrize("name", broken_images(np.random.default_rng(2)))
def test_what_is_no_image_is_refused_by_name(name: str, server: Server) -> None:
    body, kind = broken_images(np.random.default_rng(2))[name]
    reply = server.ask("/segment", body, headers={"Content-Type": kind})
    expected = {
        "nothing": (400, "bad_request"),
        "truncated JPEG": (422, "unreadable"),
        "JPEG without its end": (422, "unreadable"),
        "cut-off JPEG with an end": (422, "unreadable"),
        "JPEG filled with zeros": (422, "unreadable"),
        "50,000 x 50,000 pixels": (413, "too_many_pixels"),
    }
    values = reply.json()
    assert (reply.status, values["kind"]) == expected.get(name, (415, "unsupported"))


def test_images_are_measured_before_they_are_unpacked(strict: Server, small: bytes) -> None:
    refused = ask(strict, "/segment", png_that_claims(101, 100))
    assert (refused.status, refused.json()["kind"]) == (413, "too_many_pixels")
    assert ask(strict, "/segment", small).status == 200


@pytest.mark.parametrize(
    ("width", "height"), [(3_000_000, 1), (1, 3_000_000), (1_048_576, 60), (250_001, 2)]
)
def test_thin_images_count_as_wide_as_the_network_needs_them(
    width: int, height: int, server: Server
) -> None:
    for path in ("/segment", "/model/inference"):
        fields = {"image": ("a.png", png_that_claims(width, height), "image/png")}
        reply = server.ask(path, fields=fields)
        assert reply.status == 413
        assert "16000000, where sides below 64 count as 64" in reply.data.decode()
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, height, width, 3], "data": [0]}
    reply = server.ask("/v2/models/streets/infer", json.dumps({"inputs": [tensor]}).encode())
    assert reply.status == 413


def test_a_jpeg_that_would_be_too_wide_is_not_acceptable(server: Server) -> None:
    body = encode(np.zeros((64, 65_501, 3), np.uint8), "PNG")  # libjpeg's limit is 65500
    reply = server.ask("/segment", body, headers={"Accept": "image/jpeg"})
    assert (reply.status, reply.json()["kind"]) == (406, "not_acceptable")
    assert reply.json()["detail"].endswith("but the image has 65501x64; accept image/png")


def test_bodies_with_too_large_a_content_length_are_refused(strict: Server) -> None:
    reply = ask(strict, "/segment", bytes(100_001))
    assert (reply.status, reply.json()["kind"]) == (413, "too_large")


def test_bodies_that_turn_out_too_large_are_refused(strict: Server) -> None:
    head = f"POST /segment HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(4):
            connection.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_bodies_that_do_not_arrive_are_not_waited_for(strict: Server) -> None:
    head = f"POST /segment HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"Content-Length: 1000\r\n\r\nabc")
        assert connection.recv(12) == b"HTTP/1.1 408"


def test_more_images_than_allowed_are_refused(strict: Server) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [3, 1, 1, 3], "data": [0] * 9}
    reply = ask(strict, "/v2/models/streets/infer", json.dumps({"inputs": [tensor]}).encode())
    assert (reply.status, "at most 2" in reply.json()["error"]) == (413, True)


@pytest.mark.parametrize("path", ["/segment", "/models", "/metrics", "/model/inference", "/v2"])
@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer é"])
def test_without_the_token_nothing_is_served(path: str, given: str | None, strict: Server) -> None:
    headers = {} if given is None else {"Authorization": given.encode("latin-1").decode("latin-1")}
    reply = strict.ask(path, headers=headers)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_the_page_and_health_need_no_token(strict: Server) -> None:
    for path in ("/", "/page.js", "/docs", "/openapi.json", "/v2/health/ready"):
        assert strict.ask(path).status == 200


def test_a_page_of_somebody_else_cannot_ask_under_its_own_name(server: Server) -> None:
    reply = server.ask("/models", headers={"Host": "evil.example"})
    assert (reply.status, reply.json()["kind"]) == (403, "foreign_host")
    assert server.ask("/models", headers={"Host": "localhost:1"}).status == 200


def ask_for_much(server: Server) -> Any:
    """Request for what takes a while, of a size that is ready."""
    shape = [150, 40, 60, 3]
    size = 150 * 40 * 60 * 3
    tensor = {"name": "image", "datatype": "UINT8", "shape": shape}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": size}}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return server.ask("/v2/models/streets/infer", head + bytes(size), headers=headers)


def wait_for_requests(server: Server, number: int) -> None:
    deadline = time.monotonic() + 30
    while f"icstream_requests_admitted {number}.0".encode() not in server.ask("/metrics").data:
        assert time.monotonic() < deadline


def test_too_many_requests_are_answered_with_retry_after(small: bytes) -> None:
    with serve_streets(*MUCH, "--set", "limits.requests=1") as service:
        service.wait_ready()
        slow = threading.Thread(target=ask_for_much, args=(service,))
        slow.start()
        wait_for_requests(service, 1)
        reply = service.ask("/segment", small)
        assert (reply.status, reply.json()["kind"]) == (503, "busy")
        assert int(reply.headers["Retry-After"]) >= 1
        slow.join(60)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_what_is_under_way_finish(number: int, code: int) -> None:
    with serve_streets(*MUCH) as service:
        service.wait_ready()
        replies: list[Any] = []
        threads = [
            threading.Thread(target=lambda: replies.append(ask_for_much(service))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        wait_for_requests(service, 3)
        assert service.stop(number) == code
        for thread in threads:
            thread.join(10)
        assert [reply.status for reply in replies] == [200, 200, 200]
        assert "received, finishing" in "\n".join(service.log)


def test_a_signal_while_the_models_load_ends_it_at_once() -> None:
    with serve_streets() as service:
        begun = time.monotonic()
        assert service.ask("/v2/health/live").status == 200
        busy = service.ask("/segment", b"x")
        assert (busy.status, busy.json()["kind"]) == (503, "not_ready")
        assert "Retry-After" in busy.headers
        assert service.stop() == 143
        assert time.monotonic() - begun < 10


def test_several_models_are_served_under_their_names(small: bytes) -> None:
    with Server(
        *("--weights", "first=streets", "--weights", "second=streets"),
        *("--set", "model.warm_up_sizes=[60x40]"),
    ) as service:
        service.wait_ready()
        listed = service.ask("/models").json()
        assert (listed["default"], list(listed["models"])) == ("first", ["first", "second"])
        one, other = (service.ask(f"/segment?model={n}", small) for n in ("first", "second"))
        assert one.data == other.data
        assert service.ask("/v2/models/second").json()["name"] == "second"


def test_the_plugins_variable_names_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("rest_inference_port", str(port))
        done = call("serve", "--weights", "streets")
    assert done.returncode == 2
    assert f"127.0.0.1:{port}: cannot listen" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--host", "0.0.0.0"), "other machines can reach it"),
        (("--weights", "steets"), "did you mean streets?"),
        (("--weights", "a b=streets"), "letters, digits"),
        (("--weights", "streets", "--weights", "x/streets.safetensors"), "is already used"),
        (("--set", "limits.pixel=3"), "did you mean limits.pixels?"),
        (("--set", "model.warm_up_sizes=[3]"), "model.warm_up"),
        (("--token-file", "nowhere"), "nowhere: cannot be read"),
        (("-c", "dashcam"), "a preset for icstream run"),
    ],
)
def test_unservable_settings_are_refused_in_one_line(options: tuple[str, ...], says: str) -> None:
    done = call("serve", "--port", 0, *options)
    assert done.returncode == 2
    assert says in error_line(done)


def test_short_tokens_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    done = call("serve", "--weights", "streets", "--port", 0, "--token-file", file)
    assert done.returncode == 2
    assert "at least 16" in done.stderr
    assert "secret" not in done.stderr
