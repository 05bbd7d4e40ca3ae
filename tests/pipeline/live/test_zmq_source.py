"""Frames that programs push: what is lost is noticed, and what cannot be is refused."""

import io
import json
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from PIL import Image

from icstream.model import ConfigError, SourceError
from icstream.pipeline.live.zmq_source import MAGIC, ZmqCamera, check_zmq_addresses
from icstream.stages import FrameAccounting
from icstream.stages.live import LiveFrame, LostFrame
from support.commands import call, error_line
from support.live_servers import free_port
from support.pushing import pushing

IMAGE = bytes(range(24))


def taken(
    folder: Path, headers: Iterable[Mapping[str, Any]], accounting: FrameAccounting
) -> list[LiveFrame | LostFrame]:
    """Push messages, each with 2 x 4 pixels, and return what the camera makes of them."""
    with pushing(folder, accounting) as (sender, things):
        found: list[LiveFrame | LostFrame] = []
        for header in headers:
            body = json.dumps({"size": [2, 4], **header}).encode()
            sender.send_multipart([MAGIC, body, IMAGE])
            before = accounting.packets
            while accounting.packets == before:
                thing = next(things)
                if thing is not None:
                    found.append(thing)
        return found


def test_each_sender_counts_for_itself(tmp_path: Path) -> None:
    accounting = FrameAccounting()
    left = [{"sender": "left", "number": number} for number in (0, 1, 3)]
    right = [{"sender": "right", "number": number} for number in (70, 71, 72)]
    mixed = [header for pair in zip(left, right, strict=True) for header in pair]
    things = taken(tmp_path, mixed, accounting)
    assert accounting.missing == 1
    assert [thing.reason for thing in things if isinstance(thing, LostFrame)] == [
        "1 lost on the way"
    ]


def test_of_many_senders_those_that_were_silent_for_longest_are_forgotten(tmp_path: Path) -> None:
    accounting = FrameAccounting()
    senders = ["first", *(str(number) for number in range(64)), "63", "first"]
    headers = [{"sender": name, "number": 10 * place} for place, name in enumerate(senders)]
    taken(tmp_path, headers, accounting)
    assert accounting.missing == 9  # of "63" alone: it was still known


@pytest.mark.parametrize(
    "header",
    [
        {"pts": 2**63},
        {"pts": -(2**60)},
        {"pts": 2**50, "time_base": "1"},
        {"number": 2**62},
        {"time_base": "1e999999999"},
        {"time_base": "1/2147483648"},
        {"time_base": "-1/25"},
        {"time_base": "0/25"},
        {"time_base": "1/0"},
        {"sender": 65 * "x"},
    ],
)
def test_headers_that_cannot_be_are_counted_and_the_next_frame_is_taken(
    tmp_path: Path, header: dict[str, Any]
) -> None:
    accounting = FrameAccounting()
    bad, good = taken(tmp_path, [header, {"pts": 2**53, "time_base": "1/999999999"}], accounting)
    assert bad == LostFrame(None, "damaged message")
    assert isinstance(good, LiveFrame)
    assert accounting.undecodable == {"damaged message": 1}
    assert accounting.packets == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_frames_arrive_at_every_way_to_write_this_machine(host: str) -> None:
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as free:
        free.bind(("localhost" if family == socket.AF_INET else "::1", 0))
        port = free.getsockname()[1]
    with (
        ZmqCamera(f"zmq://{host}:{port}", accounting=FrameAccounting()) as camera,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as sender,
    ):
        sender.setsockopt(zmq.LINGER, 0)
        sender.setsockopt(zmq.IPV6, int(family == socket.AF_INET6))
        sender.connect(f"tcp://{host}:{port}")
        sender.send_multipart([MAGIC, b'{"size": [2, 4]}', IMAGE])
        frame = next(item for item in camera if item is not None)
        assert isinstance(frame, LiveFrame)


def test_a_file_in_the_place_of_a_socket_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"all my pictures")
    done = call("run", f"zmq://{path}", "-o", tmp_path / "out", "--weights", "streets")
    assert done.returncode == 2
    assert f"zmq://{path}: is a file" in error_line(done)
    assert path.read_bytes() == b"all my pictures"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["path", "port"])
def test_an_address_at_which_another_run_listens_is_in_use(tmp_path: Path, kind: str) -> None:
    address = f"zmq://{tmp_path / 'in'}" if kind == "path" else f"zmq://127.0.0.1:{free_port()}"
    with ZmqCamera(address, accounting=FrameAccounting()):
        with pytest.raises(ConfigError, match="in use"):
            check_zmq_addresses([address])
        with pytest.raises(SourceError, match="in use"):
            ZmqCamera(address, accounting=FrameAccounting())
    check_zmq_addresses([address])
    with pytest.raises(ConfigError, match="given twice"):
        check_zmq_addresses([address, address])


def test_a_header_of_any_depth_is_a_damaged_message(tmp_path: Path) -> None:
    accounting = FrameAccounting()
    deep = b'{"x":' + 100_000 * b"["
    with pushing(tmp_path, accounting) as (sender, read):
        sender.send_multipart([MAGIC, deep, IMAGE])
        sender.send_multipart([MAGIC, b'{"size": [2, 4]}', IMAGE])
        things = (thing for thing in read if thing is not None)
        assert next(things) == LostFrame(None, "damaged message")
        assert isinstance(next(things), LiveFrame)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_that_are_cut_off_are_damaged_messages(tmp_path: Path, progressive: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", progressive=progressive)
    whole = file.getvalue()
    header = b'{"size": [64, 96], "encoding": "jpeg"}'
    cuts = [whole[: len(whole) * share // 100] for share in (60, 80, 95)]
    damaged = [
        *cuts,
        *(cut + b"\xff\xd9" for cut in cuts),  # as programs write it that lose their source
        *(cut.ljust(len(whole), b"\0") for cut in cuts),  # as a disk or buffer leaves it
    ]
    accounting = FrameAccounting()
    with pushing(tmp_path, accounting) as (sender, read):
        things = (thing for thing in read if thing is not None)
        for data in damaged:
            sender.send_multipart([MAGIC, header, data])
            assert next(things) == LostFrame(None, "damaged message")
        for data in (whole, whole + b"more"):
            sender.send_multipart([MAGIC, header, data])
            assert isinstance(next(things), LiveFrame)
    assert accounting.undecodable == {"damaged message": len(damaged)}
