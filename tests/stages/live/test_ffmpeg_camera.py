"""Network streams by FFmpeg: where they begin, how they end, what is counted."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from icstream.model import SourceError
from icstream.stages import FrameAccounting
from icstream.stages.decode.rgb import RgbConverter
from icstream.stages.live import LiveFrame, LiveSettings, LostFrame
from icstream.stages.live.ffmpeg_camera import FFmpegCamera
from support.clips import make_clip, packet_places

SETTINGS = LiveSettings(open_timeout_s=10, read_timeout_s=1, hardware="off")


@contextmanager
def sent(data: bytes, *, hold: bool = False) -> Iterator[str]:
    """Send bytes to each client, then disconnect or fall silent, and yield the address."""
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


def read(address: str, accounting: FrameAccounting) -> tuple[list[LiveFrame], list[LostFrame], str]:
    """Read a connection to its end, and return images, losses, and why it ended."""
    frames, losses = [], []
    with FFmpegCamera(address, settings=SETTINGS, accounting=accounting, is_first=True) as camera:
        try:
            for thing in camera:
                if isinstance(thing, LiveFrame):
                    frames.append(thing)
                elif isinstance(thing, LostFrame):
                    losses.append(thing)
        except SourceError as error:
            return frames, losses, str(error)
    return frames, losses, ""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return MPEG-TS with a key frame every ten images."""
    options = {"bf": "0", "sc_threshold": "0"}
    pts = tuple(range(60))
    return make_clip(tmp_path / "clip.ts", pts=pts, size=(96, 128), gop=10, options=options)


def test_a_connection_that_begins_in_mid_gop_waits_for_a_key_frame(clip: Path) -> None:
    begin = packet_places(clip)[13][0]  # the next key frame is image 20
    with av.open(clip) as file:
        whole = [RgbConverter().rgb(frame) for frame in file.decode(video=0)]
    accounting = FrameAccounting()
    with sent(clip.read_bytes()[begin:]) as address:
        frames, losses, why = read(address, accounting)
    assert why.endswith("the server closed the connection")
    assert losses == []
    assert len(frames) in (39, 40)  # what the end of a connection cuts off may be the last one
    for frame, image in zip(frames, whole[20:], strict=False):
        assert np.array_equal(frame.to_rgb(), image)
    accounting.decoded = len(frames)
    assert accounting.faults() == [
        f for f in accounting.faults() if "encoded" in f
    ]  # packets add up
    assert accounting.without_frame["before the first key frame"] > 0
    assert not accounting.undecodable


def test_a_connection_that_falls_silent_is_given_up(clip: Path) -> None:
    accounting = FrameAccounting()
    begin = time.monotonic()
    with sent(clip.read_bytes()[: clip.stat().st_size // 2 // 188 * 188], hold=True) as address:
        frames, _, why = read(address, accounting)
    assert why.endswith("no data arrived in time")
    assert frames
    assert accounting.in_decoder == 0
    assert time.monotonic() - begin >= 1


@contextmanager
def served(data: bytes, *, length: int) -> Iterator[str]:
    """Serve bytes by HTTP, announcing or sending only some, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(length - start))
            self.send_header("Content-Range", f"bytes {start}-{length - 1}/{length}")
            self.end_headers()
            with suppress(OSError):  # the reader has enough
                self.wfile.write(data[start:])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/drive"
        server.shutdown()
        thread.join()


@pytest.fixture
def recording(tmp_path: Path) -> bytes:
    """Return an MP4 of 60 images whose index stands at the front."""
    plain = make_clip(tmp_path / "plain.mp4", pts=tuple(range(60)), size=(96, 128))
    with (
        av.open(plain) as source,
        av.open(tmp_path / "clip.mp4", "w", options={"movflags": "faststart"}) as file,
    ):
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    return (tmp_path / "clip.mp4").read_bytes()


def test_what_a_recording_promises_and_its_server_does_not_send_is_missing(
    recording: bytes,
) -> None:
    accounting = FrameAccounting()
    half = recording[: len(recording) // 2]
    with served(half, length=len(recording)) as address:
        frames, _, why = read(address, accounting)
        assert 0 < len(frames) < 60
        assert accounting.packets + accounting.missing == 60 or why  # then it is connected again
        with FFmpegCamera(
            address, settings=SETTINGS, accounting=accounting, is_first=False
        ) as camera:
            assert list(camera) == []
    assert accounting.packets + accounting.missing == 60
    assert accounting.missing > 0


def test_a_file_that_was_cut_off_is_missing_what_its_index_promises(recording: bytes) -> None:
    accounting = FrameAccounting()
    half = recording[: len(recording) // 2]
    with served(half, length=len(half)) as address:
        read(address, accounting)
        with FFmpegCamera(
            address, settings=SETTINGS, accounting=accounting, is_first=False
        ) as camera:
            assert list(camera) == []
    assert accounting.packets + accounting.missing == 60
    assert accounting.missing > 0


def test_a_whole_recording_misses_nothing(recording: bytes) -> None:
    accounting = FrameAccounting()
    with served(recording, length=len(recording)) as address:
        frames, losses, why = read(address, accounting)
    assert (len(frames), losses, why) == (60, [], "")
    assert accounting.missing == 0


def test_a_recording_without_an_index_that_is_cut_off_misses_at_least_one(clip: Path) -> None:
    accounting = FrameAccounting()
    data = clip.read_bytes()
    with served(data[: len(data) // 2], length=len(data)) as address:
        frames, _, _ = read(address, accounting)
        assert frames
        with FFmpegCamera(
            address, settings=SETTINGS, accounting=accounting, is_first=False
        ) as camera:
            assert list(camera) == []
    assert accounting.missing == 1


def test_a_silent_server_is_given_up() -> None:
    settings = LiveSettings(open_timeout_s=0.5, read_timeout_s=0.5, hardware="off")
    with (
        sent(b"", hold=True) as address,
        pytest.raises(SourceError, match=r"tcp://127.0.0.1:\d+: "),
    ):
        FFmpegCamera(address, settings=settings, accounting=FrameAccounting(), is_first=True)


def test_what_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(SourceError) as caught:
        FFmpegCamera(
            "rtsp://user:geheim@127.0.0.1:1/cam",
            settings=SETTINGS,
            accounting=FrameAccounting(),
            is_first=True,
        )
    assert str(caught.value) == "rtsp://127.0.0.1:1/cam: connection refused"


def test_a_camera_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        SourceError, match=r"/dev/video63: no such file or directory \(cameras here"
    ):
        FFmpegCamera("63", settings=SETTINGS, accounting=FrameAccounting(), is_first=True)


def test_a_device_that_is_not_here_falls_back_to_software(
    clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = LiveSettings(open_timeout_s=10, read_timeout_s=5, hardware="nonsense")
    with (
        sent(clip.read_bytes(), hold=True) as address,
        FFmpegCamera(
            address, settings=settings, accounting=FrameAccounting(), is_first=True
        ) as camera,
    ):
        assert any(isinstance(thing, LiveFrame) for thing in camera)
    (record,) = caplog.records
    assert "hardware nonsense: not available" in record.getMessage()
