"""Cameras for tests: real servers in separate processes and threads."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from support.clips import moving_image, require_program

SYSTEM_PYTHON = "/usr/bin/python3"
SIZE = (120, 160)
"""The (height, width) of the cameras' frames."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a free port."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def require_gstreamer() -> None:
    """Skip the test (fail under REQUIRE_ALL) without GStreamer's RTSP server."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    with suppress(OSError):
        if subprocess.run([SYSTEM_PYTHON, "-c", check], stderr=subprocess.DEVNULL).returncode == 0:
            return
    reason = "GStreamer's RTSP server is not installed (see .ci/run for the packages)"
    if os.environ.get("REQUIRE_ALL"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def rtsp_camera(port: int, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Run an RTSP camera at /cam; the end of the context closes all connections."""
    require_gstreamer()
    script = str(Path(__file__).with_name("rtsp_server.py"))
    with subprocess.Popen(
        [SYSTEM_PYTHON, script, str(port), *options], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield server
        finally:
            server.kill()


@contextmanager
def _sent_by_ffmpeg(*output: str) -> Iterator[None]:
    """Send a test image with FFmpeg in real time, at ten frames per second in H.264."""
    source = f"testsrc=size={SIZE[1]}x{SIZE[0]}:rate=10"
    codec = ["-c:v", "libx264", "-g", "10", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]
    command = [require_program("ffmpeg"), "-nostdin", "-loglevel", "error", "-re"]
    with subprocess.Popen([*command, "-f", "lavfi", "-i", source, *codec, *output]) as sender:
        try:
            yield
        finally:
            sender.kill()


@contextmanager
def udp_camera(port: int) -> Iterator[None]:
    """Send MPEG-TS over UDP."""
    with _sent_by_ffmpeg("-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316"):
        yield


@contextmanager
def hls_camera(folder: Path) -> Iterator[str]:
    """Serve a live HLS playlist, and yield its URL."""
    playlist = folder / "live.m3u8"
    options = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "4"]
    with (
        _sent_by_ffmpeg(*options, "-hls_flags", "delete_segments", str(playlist)),
        web_server(folder) as url,
    ):
        deadline = time.monotonic() + 30
        while not playlist.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield f"{url}/live.m3u8"


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder, and yield its URL."""
    with _http_server(partial(_Quiet, directory=str(folder))) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def mjpeg_camera() -> Iterator[str]:
    """Serve JPEGs as one multipart answer, like network cameras, and yield the URL."""
    with _http_server(_Mjpeg) as port:
        yield f"http://127.0.0.1:{port}/video"


@contextmanager
def _http_server(handler: "type[BaseHTTPRequestHandler] | partial[_Quiet]") -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class _Mjpeg(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with suppress(OSError):  # the reader has disconnected
            for index in range(100_000):
                _, jpeg = cv2.imencode(".jpg", moving_image(index, SIZE))
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
                time.sleep(0.1)

    def log_message(self, format: str, *args: object) -> None:
        pass


def push_frames(endpoint: str, *options: str) -> "subprocess.Popen[bytes]":
    """Start the example that pushes frames over ZeroMQ."""
    script = Path(__file__).parents[2] / "examples" / "push_frames.py"
    return subprocess.Popen([sys.executable, str(script), endpoint, *options])
