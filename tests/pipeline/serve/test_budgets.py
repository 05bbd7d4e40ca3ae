"""What a request may take is settled before it is worked on, and work ends when nobody waits."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from support.images import encode, make_image, png_that_claims
from support.servers import Server, serve_streets

pytestmark = pytest.mark.slow

# 970,225 windows: hours of work if all were looked at.
WINDOWS = {
    "name": "sliding_window",
    "window": {"width": 16, "height": 16},
    "min_overlap": {"x": 15, "y": 15},
    "model_classes": {"add_suffix": "_x"},
}


def flat_image(side: int) -> bytes:
    return encode(np.zeros((side, side, 3), np.uint8), "PNG")


def ask_windows(server: Server, side: int) -> Any:
    fields = {"image": ("a.png", flat_image(side)), "mode": json.dumps(WINDOWS)}
    return server.ask("/model/inference", fields=fields)


def test_windows_are_counted_before_any_is_looked_at(server: Server) -> None:
    reply = ask_windows(server, 1000)
    assert (reply.status, reply.json()["kind"]) == (413, "too_much_work")
    assert "970225 crops exceed the allowed 4096 (limits.crops)" in reply.json()["detail"]
    assert ask_windows(server, 20).status == 200


def test_windows_together_have_a_bound_too(server: Server) -> None:
    mode = WINDOWS | {
        "window": {"width": 2000, "height": 2000},
        "min_overlap": {"x": 1990, "y": 1990},
    }
    fields = {"image": ("a.png", flat_image(2300)), "mode": json.dumps(mode)}
    reply = server.ask("/model/inference", fields=fields)
    assert (reply.status, reply.json()["kind"]) == (413, "too_much_work")
    assert "961 windows have 3844000000 pixels together" in reply.json()["detail"]


def test_boxes_are_counted_too(server: Server) -> None:
    box = {"points": {"exterior": [[1, 1], [9, 9]], "interior": []}, "classTitle": "Car"}
    annotation = {"size": {"height": 20, "width": 20}, "objects": [box] * 4097}
    meta = {"classes": [{"title": "Car", "shape": "rectangle", "color": "#000000"}], "tags": []}
    fields = {
        "image": ("a.png", flat_image(20)),
        "annotation": json.dumps(annotation),
        "meta": json.dumps(meta),
        "mode": json.dumps({"name": "bboxes", "model_classes": {"add_suffix": "_b"}}),
    }
    reply = server.ask("/model/inference", fields=fields)
    assert (reply.status, reply.json()["kind"]) == (413, "too_much_work")


def test_json_is_bounded_before_it_is_decoded(server: Server) -> None:
    infer = "/v2/models/streets/infer"
    head = b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 3], '
    bomb = gzip.compress(head + b'"data": [' + b"[]," * 11_000_000 + b"[]]}]}")
    reply = server.ask(infer, bomb, headers={"Content-Encoding": "gzip"})
    assert (reply.status, "more than the allowed" in reply.json()["error"]) == (413, True)
    lists = head + b'"data": [' + b"[]," * 1_000_000 + b"[]]}]}"
    assert "values for shape" in server.ask(infer, lists).json()["error"]
    nested = head + b'"data": [' + b"[[[0]]]," * 2 + b"[[[0]]]]}]}"
    assert "not nested as its shape" in server.ask(infer, nested).json()["error"]
    tensors = b'{"inputs": [' + b'{"name": "image", "datatype": "UINT8", "shape": [1]},' * 1000
    reply = server.ask(infer, tensors + b"{}]}")
    assert (reply.status, "objects" in reply.json()["error"]) == (413, True)
    unknown = b'"data": [1, 2, 3], "parameters": {"x": [' + b"[]," * 1_000_000 + b"[]]}}]}"
    assert server.ask(infer, head + unknown).status == 200
    fields = {"mode": b'{"x": [' + b"[]," * 600_000 + b"1]}"}
    reply = server.ask("/model/get_out_meta", fields=fields)
    assert (reply.status, reply.json()["kind"]) == (413, "too_large")
    reply = server.ask("/model/get_out_meta", fields={"mode": bytes(9_000_000)})
    assert (reply.status, "limits.json_bytes" in reply.json()["detail"]) == (413, True)
    deep = b'{"classes": [], "tags": [], "x": ' + 900 * b"[" + 900 * b"]" + b"}"
    assert server.ask("/model/get_out_meta", fields={"meta": deep}).status in (200, 400)


def test_a_project_may_have_very_many_classes(server: Server) -> None:
    entries = [{"title": f"c{k}", "shape": "bitmap", "color": "#000000"} for k in range(60_000)]
    begun = time.monotonic()
    meta = json.dumps({"classes": entries, "tags": []})
    reply = server.ask("/model/get_out_meta", fields={"meta": meta})
    assert len(reply.json()["classes"]) > 60_000
    assert time.monotonic() - begun < 20  # comparing each with each took over a minute


def test_memory_is_reserved_before_an_image_is_decoded() -> None:
    with serve_streets("--workers", "1", "--set", "limits.memory_mb=100") as service:
        service.wait_ready()
        reply = service.ask("/segment", png_that_claims(4000, 4000))
        assert (reply.status, reply.json()["kind"]) == (413, "too_large")
        assert "limits.memory_mb" in reply.json()["detail"]
        small = encode(make_image(np.random.default_rng(1), 40, 60), "PNG")
        assert service.ask("/segment", small).status == 200
        fields = {"image": ("a.png", flat_image(900)), "mode": '{"name": "full_image"}'}
        reply = service.ask("/model/inference", fields=fields)  # scores take more
        assert (reply.status, reply.json()["kind"]) == (413, "too_large")


@pytest.fixture
def busy() -> Iterator[Server]:
    """Return a service at another address of this machine, whose one worker may work for long."""
    options = ("--workers", "1", "--set", "limits.crops=1000000", "--set", "limits.stop_s=1")
    with serve_streets("--host", "127.0.0.2", *options) as service:
        yield service.wait_ready()


def send(server: Server, path: str, body: bytes, kind: str) -> socket.socket:
    """Send a request whose answer is not waited for."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    connection = socket.create_connection((server.host, server.port), timeout=20)
    connection.sendall((head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
    return connection


def send_windows(server: Server) -> socket.socket:
    part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    body = part.format("mode").encode() + json.dumps(WINDOWS).encode() + b"\r\n"
    body += part.format("image").encode() + flat_image(1000) + b"\r\n--x--\r\n"
    return send(server, "/model/inference", body, "multipart/form-data; boundary=x")


def admitted(server: Server) -> int:
    text = server.ask("/metrics").data.decode()
    line = next(x for x in text.splitlines() if x.startswith("icstream_requests_admitted "))
    return round(float(line.split()[1]))


def wait_for_admitted(server: Server, number: int) -> None:
    deadline = time.monotonic() + 60
    while admitted(server) != number:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_work_of_clients_that_hang_up_ends_and_leaves_the_queue(busy: Server) -> None:
    small = encode(make_image(np.random.default_rng(1), 40, 60), "PNG")
    working = send_windows(busy)
    wait_for_admitted(busy, 1)
    waiting = [send(busy, "/segment", small, "image/png") for _ in range(30)]
    wait_for_admitted(busy, 31)
    for connection in (*waiting, working):
        connection.close()
    assert busy.ask("/segment", small).status == 200
    wait_for_admitted(busy, 0)
    assert 'icstream_pictures_total{model="streets"} 1.0' in busy.ask("/metrics").data.decode()
    assert busy.ask("/v2/health/live").status == 200
    assert "Traceback" not in "\n".join(busy.log)


def test_work_under_way_does_not_keep_the_service_from_stopping(busy: Server) -> None:
    with send_windows(busy):
        wait_for_admitted(busy, 1)
        begun = time.monotonic()
        assert busy.stop() == 143
        assert time.monotonic() - begun < 20
    assert "Traceback" not in "\n".join(busy.log)
