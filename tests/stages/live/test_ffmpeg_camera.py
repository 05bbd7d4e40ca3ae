"""Network streams by FFmpeg: where they begin, how they end, what is counted."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, packet_places

from icstream.model import SourceError
from icstream.stages import Books
from icstream.stages.colour import RgbConverter
from icstream.stages.live import CameraOptions, Lost, Shot
from icstream.stages.live.ffmpeg_camera import FFmpegCamera

OPTIONS = CameraOptions(open_timeout_s=10, read_timeout_s=1, hardware="off")


@contextmanager
def sent(data: bytes, *, hold: bool = False) -> Iterator[str]:
    """Sends some bytes to whoever connects, then hangs up or falls silent; gives the address."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(data)
            if hold:
                over.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join()


def read(address: str, books: Books) -> tuple[list[Shot], list[Lost], str]:
    """Reads a connection to its end; gives pictures, losses, and why it ended."""
    shots, losses = [], []
    with FFmpegCamera(address, options=OPTIONS, books=books, is_first=True) as camera:
        try:
            for thing in camera:
                if isinstance(thing, Shot):
                    shots.append(thing)
                elif isinstance(thing, Lost):
                    losses.append(thing)
        except SourceError as error:
            return shots, losses, str(error)
    return shots, losses, ""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Gives MPEG-TS with a key frame every ten pictures."""
    options = {"bf": "0", "sc_threshold": "0"}
    pts = tuple(range(60))
    return make_clip(tmp_path / "clip.ts", pts=pts, size=(96, 128), gop=10, options=options)


def test_a_connection_that_begins_in_mid_gop_waits_for_a_key_frame(clip: Path) -> None:
    begin = packet_places(clip)[13][0]  # the next key frame is picture 20
    with av.open(clip) as file:
        whole = [RgbConverter().rgb(frame) for frame in file.decode(video=0)]
    books = Books()
    with sent(clip.read_bytes()[begin:]) as address:
        shots, losses, why = read(address, books)
    assert why.endswith("the other side ended the connection")
    assert losses == []
    assert len(shots) in (39, 40)  # what the end of a connection cuts off may be the last one
    for shot, picture in zip(shots, whole[20:], strict=False):
        assert np.array_equal(shot.develop(), picture)
    books.decoded = len(shots)
    assert books.faults() == [f for f in books.faults() if "encoded" in f]  # packets add up
    assert books.without_picture["before the first key frame"] > 0
    assert not books.undecodable


def test_a_connection_that_falls_silent_is_given_up(clip: Path) -> None:
    books = Books()
    begin = time.monotonic()
    with sent(clip.read_bytes()[: clip.stat().st_size // 2 // 188 * 188], hold=True) as address:
        shots, _, why = read(address, books)
    assert why.endswith("nothing came in time")
    assert shots
    assert books.in_decoder == 0
    assert time.monotonic() - begin >= 1


def test_a_server_that_says_nothing_is_given_up() -> None:
    options = CameraOptions(open_timeout_s=0.5, read_timeout_s=0.5, hardware="off")
    with (
        sent(b"", hold=True) as address,
        pytest.raises(SourceError, match=r"tcp://127.0.0.1:\d+: "),
    ):
        FFmpegCamera(address, options=options, books=Books(), is_first=True)


def test_what_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(SourceError) as caught:
        FFmpegCamera(
            "rtsp://user:geheim@127.0.0.1:1/cam", options=OPTIONS, books=Books(), is_first=True
        )
    assert str(caught.value) == "rtsp://127.0.0.1:1/cam: connection refused"


def test_a_camera_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        SourceError, match=r"/dev/video63: no such file or directory \(cameras here"
    ):
        FFmpegCamera("63", options=OPTIONS, books=Books(), is_first=True)


def test_a_device_that_is_not_here_falls_back_to_software(
    clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = CameraOptions(open_timeout_s=10, read_timeout_s=5, hardware="nonsense")
    with (
        sent(clip.read_bytes(), hold=True) as address,
        FFmpegCamera(address, options=options, books=Books(), is_first=True) as camera,
    ):
        assert any(isinstance(thing, Shot) for thing in camera)
    (record,) = caplog.records
    assert "hardware nonsense: not here" in record.getMessage()
