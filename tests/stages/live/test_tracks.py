"""What an address is: a camera that comes back, a recording with an end, variants, an image."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import av
import cv2
import pytest

from icstream.model import SourceError
from icstream.stages import FrameAccounting
from icstream.stages.live import LiveFrame, LiveSettings
from icstream.stages.live.ffmpeg_camera import FFmpegCamera
from icstream.stages.live.ffmpeg_input import refused_segments
from support.clips import make_clip, moving_image

SETTINGS = LiveSettings(open_timeout_s=10, read_timeout_s=3, hardware="off")
NUM_FRAMES = 100
LIVE_FORMATS = {
    "flv": ("flv", {"flvflags": "no_duration_filesize"}),
    "flv with a duration": ("flv", {}),
    "fmp4": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "webm": ("matroska", {"live": "1"}),
    "ts": ("mpegts", {}),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four seconds of H.264 with a key frame every ten images."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_clip(
        path, pts=tuple(range(NUM_FRAMES)), size=(96, 128), gop=10, options={"bf": "0"}
    )


def remuxed(clip: Path, out: Path, container: str, options: dict[str, str]) -> bytes:
    with av.open(clip) as source, av.open(out, "w", format=container, options=options) as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    return out.read_bytes()


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Answer requests by HTTP/1.1, and return the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with suppress(OSError):  # the reader has enough
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the reader has hung up

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def without_length(data: bytes, *, chunked: bool) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with data whose length nobody states, and hangs up."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("A", "b")))
        handler.send_header("Connection", "close")
        handler.end_headers()
        for begin in range(0, len(data), 4096):
            part = data[begin : begin + 4096]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        handler.wfile.write(b"0\r\n\r\n" if chunked else b"")
        handler.close_connection = True

    return answer


def read(address: str, accounting: FrameAccounting) -> tuple[int, str]:
    """Return the number of frames over one connection, and why it ended; "" at its end for good."""
    num_frames = 0
    with FFmpegCamera(address, settings=SETTINGS, accounting=accounting, is_first=True) as camera:
        try:
            for item in camera:
                num_frames += isinstance(item, LiveFrame)
        except SourceError as error:
            return num_frames, str(error)
    return num_frames, ""


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("kind", LIVE_FORMATS)
def test_a_camera_that_hangs_up_is_connected_again(
    clip: Path, tmp_path: Path, kind: str, chunked: bool
) -> None:
    data = remuxed(clip, tmp_path / "live", *LIVE_FORMATS[kind])
    with serving(without_length(data[: len(data) * 2 // 3], chunked=chunked)) as address:
        num_frames, why = read(f"{address}/cam", FrameAccounting())
    assert NUM_FRAMES / 3 < num_frames < NUM_FRAMES
    assert why.startswith(f"{address}/cam: ")


@pytest.mark.parametrize("kind", ["mp4", "matroska", "flv"])
def test_a_recording_whose_length_is_not_stated_has_an_end(
    clip: Path, tmp_path: Path, kind: str
) -> None:
    data = remuxed(
        clip, tmp_path / "drive", kind, {"movflags": "faststart"} if kind == "mp4" else {}
    )
    accounting = FrameAccounting()
    with serving(without_length(data, chunked=True)) as address:
        assert read(f"{address}/drive", accounting) == (NUM_FRAMES, "")
    assert accounting.missing == 0


def jpegs(count: int) -> list[bytes]:
    return [cv2.imencode(".jpg", moving_image(n, (96, 128)))[1].tobytes() for n in range(count)]


def test_jpegs_without_boundaries_have_no_times_of_their_own() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for jpeg in jpegs(20):
            handler.wfile.write(jpeg)
        handler.close_connection = True

    with (
        serving(answer) as address,
        FFmpegCamera(
            f"{address}/video", settings=SETTINGS, accounting=FrameAccounting(), is_first=True
        ) as camera,
    ):
        frames = [item for item in islice(camera, 20) if isinstance(item, LiveFrame)]
    assert len(frames) > 5
    assert {frame.pts for frame in frames} == {None}


@pytest.mark.parametrize("path", ["snapshot.jpg", "image.cgi"])
def test_an_address_that_returns_an_image_is_polled(path: str) -> None:
    images, asked = jpegs(4), []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(time.monotonic())
        image = images[min(len(asked) // 3, 3)]  # each is shown to several requests
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Content-Length", str(len(image)))
        handler.end_headers()
        handler.wfile.write(image)

    settings = LiveSettings(open_timeout_s=10, hardware="off", max_fps=20)
    accounting = FrameAccounting()
    frames: list[LiveFrame] = []
    with (
        serving(answer) as address,
        FFmpegCamera(
            f"{address}/{path}", settings=settings, accounting=accounting, is_first=True
        ) as camera,
    ):
        for item in camera:
            frames += [item] if isinstance(item, LiveFrame) else []
            if len(frames) == 4:
                break
    assert [frame.pts for frame in frames] == [None] * 4
    assert accounting.packets == 4  # what did not change is not a frame
    assert len(asked) > 8
    assert asked[-1] - asked[0] >= 0.05 * (len(asked) - 4)


@pytest.mark.parametrize("then", ["sound", "another format", "nothing"])
def test_an_address_that_answers_with_something_else_later_is_connected_again(then: str) -> None:
    (image,) = jpegs(1)
    png = cv2.imencode(".png", moving_image(1, (96, 128)))[1].tobytes()
    header = b"RIFF\x24\x20\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0"
    sound = header + b"data\0\x20\0\0" + bytes(0x2000)
    later = {"sound": sound, "another format": png, "nothing": b""}[then]
    asked = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        data = image if len(asked) == 1 else later
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    settings = LiveSettings(open_timeout_s=5, read_timeout_s=2, hardware="off", max_fps=20)
    with (
        serving(answer) as address,
        pytest.raises(SourceError),
        FFmpegCamera(
            f"{address}/now", settings=settings, accounting=FrameAccounting(), is_first=True
        ) as camera,
    ):
        for _ in camera:
            pass


@pytest.mark.parametrize(
    "address",
    ["http://admin:secret@127.0.0.1/live", "http://127.0.0.1:8a/live", "file:///dev/null"],
)
def test_an_invalid_address_in_a_playlist_is_not_requested(address: str) -> None:
    assert refused_segments(address, SETTINGS) == ""


def test_a_playlist_opens_no_file_of_this_machine(tmp_path: Path) -> None:
    pipe = tmp_path / "list.m3u8"
    os.mkfifo(pipe)  # opening it would wait for ever

    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = f"#EXTM3U\n#EXTINF:1,\nfile://{pipe}\n".encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with serving(answer) as address:
        assert refused_segments(f"{address}/live.m3u8", SETTINGS) == ""


@contextmanager
def hls(clip: Path, folder: Path, *, suffix: str = ".ts") -> Iterator[tuple[str, list[str]]]:
    """Serve HLS in three sizes, the largest second, and yield the address and the requests."""
    asked: list[str] = []
    lines = ["#EXTM3U"]
    for name, width in (("a", 128), ("b", 512), ("c", 256)):
        size = (width * 3 // 4, width)
        part = make_clip(folder / f"{name}.ts", pts=tuple(range(50)), size=size, gop=10)
        names = [f"{name}{number}{suffix}" for number in range(4)]
        for segment in names:
            (folder / segment).write_bytes(part.read_bytes())
        listed = "".join(f"#EXTINF:2.0,\n{segment}\n" for segment in names)
        head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
        (folder / f"{name}.m3u8").write_text(f"{head}{listed}#EXT-X-ENDLIST\n")
        lines.append(f"#EXT-X-STREAM-INF:BANDWIDTH={width * 1000},RESOLUTION={width}x{size[0]}")
        lines.append(f"{name}.m3u8")
    (folder / "all.m3u8").write_text("\n".join(lines) + "\n")

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        data = (folder / handler.path.strip("/")).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with serving(answer) as address:
        yield f"{address}/all.m3u8", asked


def test_of_variants_the_largest_is_read_and_the_others_are_not_fetched(
    clip: Path, tmp_path: Path
) -> None:
    with (
        hls(clip, tmp_path) as (address, asked),
        FFmpegCamera(
            address, settings=SETTINGS, accounting=FrameAccounting(), is_first=True
        ) as camera,
    ):
        sizes = {item.size for item in camera if isinstance(item, LiveFrame)}
    assert sizes == {(384, 512)}
    assert {f"/b{number}.ts" for number in range(4)} <= set(asked)
    others = {path for path in asked if path[1] in "ac" and path.endswith(".ts")}
    # FFmpeg looks at the first segment to know the size, and asks for the next one meanwhile.
    assert others <= {"/a0.ts", "/a1.ts", "/c0.ts", "/c1.ts"}


def test_segments_with_foreign_names_are_refused_with_the_setting_that_reads_them(
    clip: Path, tmp_path: Path
) -> None:
    with hls(clip, tmp_path, suffix=".jpg") as (address, _):
        with pytest.raises(SourceError, match=r"segments are called \.jpg.* set live\.ffmpeg to"):
            FFmpegCamera(address, settings=SETTINGS, accounting=FrameAccounting(), is_first=True)
        options = {"extension_picky": "0", "allowed_segment_extensions": "ALL"}
        settings = LiveSettings(open_timeout_s=10, hardware="off", ffmpeg=options)
        with FFmpegCamera(
            address, settings=settings, accounting=FrameAccounting(), is_first=True
        ) as camera:
            assert any(isinstance(item, LiveFrame) for item in camera)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtsp://no-such-camera.invalid/cam", "the host's name cannot be resolved"),
        ("http://no-such-camera.invalid/cam", "the host's name cannot be resolved"),
        ("udp://127.0.0.1:{port}", "no data arrived in 0.5 s"),
    ],
)
def test_why_nothing_comes_is_named(address: str, words: str) -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(port=free.getsockname()[1])
    settings = LiveSettings(open_timeout_s=2, read_timeout_s=0.5, hardware="off")
    with pytest.raises(SourceError, match=words):
        FFmpegCamera(address, settings=settings, accounting=FrameAccounting(), is_first=True)
