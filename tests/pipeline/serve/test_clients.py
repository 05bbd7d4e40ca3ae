"""Requests as curl, wget, probes, browsers and KServe's client really send them."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.clips import require_program
from support.images import encode, make_image
from support.servers import Server

pytestmark = pytest.mark.slow

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return encode(make_image(np.random.default_rng(4), 40, 60), "JPEG")


def exchange(server: Server, sent: bytes) -> bytes:
    """Return all that the service sends until it closes or has nothing more to send."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(sent)
        while more := connection.recv(65536):
            answer += more
    return answer


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "image/heic", "multipart/mixed"]
)
def test_the_content_of_a_body_decides_what_it_is(kind: str, server: Server, jpeg: bytes) -> None:
    expected = server.ask("/segment", jpeg, headers={"Content-Type": "image/jpeg"}).data
    for path, start in (("/segment", expected), ("/model/inference", b"{")):
        reply = server.ask(path, jpeg, headers={"Content-Type": kind})
        assert (reply.status, reply.data.startswith(start)) == (200, True)


@pytest.mark.parametrize(
    "disposition", ['name="image"', "name=image", 'name="image"; filename="a.jpg"']
)
def test_a_part_of_a_form_needs_no_file_name(disposition: str, server: Server, jpeg: bytes) -> None:
    head = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    body = head + jpeg + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = server.ask("/segment", body, headers=headers)
    assert (reply.status, reply.data) == (200, server.ask("/segment", jpeg).data)


def test_forms_keep_other_letters_than_those_of_ascii(server: Server) -> None:
    mode = {"name": "full_image", "model_classes": {"save_classes": ["Road"], "add_suffix": "_ß"}}
    text = json.dumps(mode, ensure_ascii=False)
    url_form = {"Content-Type": "application/x-www-form-urlencoded"}
    quoted = "mode=" + "".join(f"%{byte:02X}" for byte in text.encode())
    for options in (
        {"fields": {"mode": text}},
        {"body": quoted.encode(), "headers": url_form},
        {"body": ("mode=" + text).encode(), "headers": url_form},
        {"body": json.dumps({"mode": mode}).encode(), "headers": {"Content-Type": JSON}},
    ):
        values = server.ask("/model/get_out_meta", **options).json()
        assert [entry["title"] for entry in values["classes"]] == ["Road_ß"]


JSON = "application/json"
NOT_UTF8: dict[str, dict[str, Any]] = {
    "a part": {"fields": {"mode": b'{"name": "\xff"}'}},
    "a pair": {
        "body": b"mode=%7B%22name%22:%22%FF%22%7D",
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    },
    "a body": {"body": b'{"mode": "\xff"}', "headers": {"Content-Type": JSON}},
    "a surrogate": {"fields": {"meta": b'{"classes": [], "tags": [], "x": "\\ud800"}'}},
}


@pytest.mark.parametrize("name", NOT_UTF8)
def test_what_is_not_utf8_is_refused(name: str, server: Server) -> None:
    reply = server.ask("/model/get_out_meta", **NOT_UTF8[name])
    assert (reply.status, reply.json()["kind"]) == (400, "bad_request")


@pytest.mark.parametrize("length", ["\xb2", "1" * 5000, "-1", "0x10", "1_0"])
def test_a_length_is_a_number_in_ascii_digits(length: str, server: Server) -> None:
    headers = {"Inference-Header-Content-Length": length}
    reply = server.ask("/v2/models/streets/infer", b"{}", headers=headers)
    assert (reply.status, "got" in reply.json()["error"]) == (400, True)


# What inference_client.py of KServe 0.21 reads: the member "live" or "ready".
def test_kserves_client_learns_that_it_is_live_and_ready(server: Server) -> None:
    assert server.ask("/v2/health/live").json() == {"live": True}
    assert server.ask("/v2/health/ready").json() == {"ready": True}
    expected = {"name": "streets", "ready": True}
    assert server.ask("/v2/models/streets/ready").json() == expected
    assert server.ask("/v2/models/streets/versions/1/ready").json() == expected


@pytest.mark.parametrize("path", ["/", "/models", "/v2", "/v2/health/ready", "/docs"])
def test_head_is_answered_as_get_without_the_body(path: str, server: Server) -> None:
    head, full = server.ask(path, method="HEAD"), server.ask(path)
    assert (head.status, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(full.data))
    assert server.ask("/segment", method="HEAD").status == 405


def test_wget_and_curl_find_what_is_there(server: Server, tmp_path: Path) -> None:
    url = f"http://localhost:{server.port}/v2/health/ready"
    wget = [require_program("wget"), "--quiet", "--spider", "--tries=1", url]
    assert subprocess.run(wget, cwd=tmp_path, timeout=60, check=False).returncode == 0
    curl = [require_program("curl"), "-sSfI", url]
    assert subprocess.run(curl, timeout=60, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://localhost/v2", "200"),
        ("http://localhost/models?all=1", "200"),
        ("http://localhost?all=1", "200"),
        ("http://localhost/nowhere", "404"),
        ("http://icstream.example/models", "403"),  # a page of a foreign host, in a browser
    ],
)
def test_requests_as_sent_to_a_proxy_find_what_is_there(
    url: str, status: str, server: Server
) -> None:
    proxy = [require_program("curl"), "--noproxy", "", "--proxy", f"127.0.0.1:{server.port}"]
    write = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: localhost", url]
    done = subprocess.run([*proxy, *write], timeout=60, check=True, capture_output=True, text=True)
    assert done.stdout == status


@pytest.mark.parametrize("path", ["/v2/health/ready", "/models"])
def test_probes_without_a_host_are_answered(path: str, server: Server) -> None:
    answer = exchange(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("path", ["/segment", "/model/inference", "/v2/models/streets/infer"])
def test_expect_continue_with_too_large_a_body_is_refused(path: str, server: Server) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000000\r\n"
    answer = exchange(server, (head + "Expect: 100-continue\r\n\r\n").encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_expect_continue_is_answered_with_100(server: Server, jpeg: bytes) -> None:
    head = f"POST /segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(jpeg)}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall((head + "Expect: 100-continue\r\n\r\n").encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(jpeg)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_pages_of_other_sites_cannot_send_images(server: Server, jpeg: bytes) -> None:
    for headers in (
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        reply = server.ask("/segment", jpeg, headers=headers)
        assert (reply.status, reply.json()["kind"]) == (403, "cross_site")
    own = {"Origin": f"http://{server.address}", "Sec-Fetch-Site": "same-origin"}
    assert server.ask("/segment", jpeg, headers=own).status == 200


def test_made_up_methods_make_one_counter(server: Server) -> None:
    for number in range(30):
        assert server.ask("/", method=f"MADE{number}").status == 405
    text = server.ask("/metrics").data.decode()
    assert "MADE" not in text
    assert 'method="other",path="/",status="405"' in text


def test_a_proxy_may_offer_the_page_under_a_path(server: Server) -> None:
    headers = {"X-Forwarded-Prefix": "/masks"}
    for path in ("/", "/masks/"):
        page = server.ask(path, headers=headers).data
        assert b'<base href="/masks/">' in page
    assert b'"/masks/openapi.json"' in server.ask("/docs", headers=headers).data.replace(b"'", b'"')
    assert server.ask("/masks/models", headers=headers).status == 200
    assert server.ask("/masks/v2/nothing", headers=headers).json().keys() == {"error"}
    assert b"<base" not in server.ask("/").data
