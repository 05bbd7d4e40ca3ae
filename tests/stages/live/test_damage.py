"""Live damage never becomes a frame: each that is handed on is the one that was sent."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import PictureType
from numpy.typing import NDArray

from icstream.model import SourceError
from icstream.stages import FrameAccounting
from icstream.stages.decode.rgb import RgbConverter
from icstream.stages.live import AwaitsKeyFrame, LiveFrame, LiveSettings, LostFrame
from icstream.stages.live.ffmpeg_camera import FFmpegCamera
from icstream.stages.live.h264_order import H264Order
from support.clips import make_clip, moving_image

SETTINGS = LiveSettings(open_timeout_s=10, read_timeout_s=1, hardware="off")
SIZE = (192, 256)
NUM_FRAMES = 90
DATAGRAM = 7 * 188
CODECS = {
    "libx264": {"bf": "0", "sc_threshold": "0", "tune": "zerolatency"},
    "libx264 with B-frames": {"bf": "2", "sc_threshold": "0", "x264-params": "open-gop=1"},
    "libx265": {"x265-params": "bframes=0:keyint=15:min-keyint=15:scenecut=0:log-level=none"},
    "libx265 with B-frames": {"x265-params": "bframes=3:keyint=15:scenecut=0:log-level=none"},
    "mpeg2video": {"bf": "0"},
}


@pytest.fixture(scope="module", params=CODECS)
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return MPEG-TS with a key frame every 15 images."""
    return make_clip(
        tmp_path_factory.mktemp("damage") / "clip.ts",
        pts=tuple(range(NUM_FRAMES)),
        size=SIZE,
        codec=request.param.partition(" ")[0],
        gop=15,
        options={"b": "600k", **CODECS[request.param]},
    )


@contextmanager
def sent(data: bytes) -> Iterator[str]:
    """Send bytes to each client, then disconnect, and yield the address."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            if data.startswith(b"HTTP"):
                connection.recv(65536)
            connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def lossy(path: Path, *, seed: int, share: float = 0.02) -> bytes:
    """Return a stream of which a share of the datagrams is lost, none of the first ones."""
    data, dice = path.read_bytes(), np.random.default_rng(seed)
    parts = [data[place : place + DATAGRAM] for place in range(0, len(data), DATAGRAM)]
    return b"".join(part for n, part in enumerate(parts) if n < 8 or dice.random() >= share)


def read(
    data: bytes, accounting: FrameAccounting, settings: LiveSettings = SETTINGS
) -> tuple[dict[int | None, NDArray[np.uint8]], list[str]]:
    """Read a connection to its end, and return the images by time, and why others were lost."""
    found, losses = {}, []
    with (
        sent(data) as address,
        FFmpegCamera(address, settings=settings, accounting=accounting, is_first=True) as camera,
        suppress(SourceError),  # the other side ended the connection
    ):
        for item in camera:
            if isinstance(item, LiveFrame):
                found[item.pts] = item.to_rgb()
            elif isinstance(item, LostFrame):
                losses.append(item.reason)
    accounting.decoded = accounting.in_flight = len(found)
    assert accounting.faults() == []
    return found, losses


def images(path: Path) -> dict[int | None, NDArray[np.uint8]]:
    """What PyAV makes of the whole file, by time."""
    with av.open(path) as file:
        return {frame.pts: RgbConverter().rgb(frame) for frame in file.decode(video=0)}


def smeared(
    found: dict[int | None, NDArray[np.uint8]], whole: dict[int | None, NDArray[np.uint8]]
) -> list[int | None]:
    return [pts for pts, image in found.items() if not np.array_equal(image, whole[pts])]


@pytest.mark.parametrize("seed", range(2))
def test_what_is_handed_on_is_what_was_sent_whatever_was_lost(stream: Path, seed: int) -> None:
    accounting = FrameAccounting()
    found, losses = read(lossy(stream, seed=seed), accounting)
    assert len(found) > NUM_FRAMES / 6
    assert smeared(found, images(stream)) == []
    assert accounting.undecodable["after damage"] > 0
    assert Counter(losses) == accounting.undecodable


def test_a_stream_without_damage_loses_nothing(stream: Path) -> None:
    accounting = FrameAccounting()
    found, losses = read(stream.read_bytes(), accounting)
    whole = images(stream)
    assert smeared(found, whole) == []
    assert losses == []
    assert len(found) >= len(whole) - 4  # the end of a connection cuts off what the decoder holds


def h264(folder: Path, *, container: str, **options: str) -> Path:
    options = {"bf": "2" if "x264-params" in options else "0", "sc_threshold": "0", **options}
    path = folder / f"clip.{container}"
    return make_clip(path, pts=tuple(range(45)), size=SIZE, gop=15, options=options)


def test_damaged_frames_are_kept_with_keep_damaged(tmp_path: Path) -> None:
    data = lossy(h264(tmp_path, container="ts", b="600k"), seed=1, share=0.1)
    few, _ = read(data, FrameAccounting())
    many, _ = read(data, FrameAccounting(), replace(SETTINGS, keep_damaged=True))
    assert set(few) < set(many)


@pytest.mark.parametrize("container", ["ts", "mp4"])
def test_a_reference_frame_that_is_missing_without_a_mark_is_noticed(
    tmp_path: Path, container: str
) -> None:
    path = h264(tmp_path, container=container, **{"x264-params": "bframes=2:b-pyramid=none"})
    with av.open(path) as file:
        extradata = file.streams.video[0].codec_context.extradata
        packets = [packet for packet in file.demux(video=0) if packet.size]
    with av.open(path) as file:
        # Without a pyramid, nothing refers to B-frames.
        disposable = {f.pts for f in file.decode(video=0) if f.pict_type == PictureType.B}
    assert 0 < len(disposable) < len(packets)
    whole = H264Order(extradata)
    assert not any(whole.misses(bytes(packet)) for packet in packets)
    for left_out in (20, 21, 22, 23):
        order = H264Order(extradata)
        missed = [n for n, p in enumerate(packets) if n != left_out and order.misses(bytes(p))]
        assert missed[:1] == ([] if packets[left_out].pts in disposable else [left_out + 1])


def multipart(jpegs: list[bytes]) -> bytes:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
    lines = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"
    return head + b"".join(lines % (len(jpeg), jpeg) for jpeg in jpegs)


def test_jpegs_that_are_cut_off_are_counted_and_not_used() -> None:
    jpegs = [cv2.imencode(".jpg", moving_image(n, SIZE))[1].tobytes() for n in range(12)]
    damaged = [
        jpegs[2][: len(jpegs[2]) // 2],  # cut off
        jpegs[5][: len(jpegs[5]) // 2] + b"\xff\xd9",  # cut off, with an end of image
        jpegs[8][: len(jpegs[8]) // 2] + bytes(len(jpegs[8]) // 2),  # its end was never filled
    ]
    sent_jpegs = [damaged[n // 3] if n in (2, 5, 8) else jpeg for n, jpeg in enumerate(jpegs)]
    accounting, found = FrameAccounting(), list[NDArray[np.uint8]]()
    with (
        sent(multipart(sent_jpegs)) as address,
        FFmpegCamera(
            address.replace("tcp", "http"), settings=SETTINGS, accounting=accounting, is_first=True
        ) as camera,
        pytest.raises(SourceError),
    ):
        found.extend(item.to_rgb() for item in camera if isinstance(item, LiveFrame))
    # An independent decoder's view of what was whole; IDCTs differ by a few levels.
    whole = [
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        for n, jpeg in enumerate(jpegs)
        if n not in (2, 5, 8)
    ]
    assert accounting.undecodable == {"damaged packet": 3}
    assert len(found) == len(whole)
    for image, right in zip(found, whole, strict=True):
        assert np.abs(image.astype(int) - right).mean() < 4


def test_a_stream_without_a_key_frame_is_waited_for(tmp_path: Path) -> None:
    data = make_clip(
        tmp_path / "clip.ts", pts=tuple(range(60)), size=SIZE, gop=50, options={"bf": "0"}
    ).read_bytes()
    with av.open(tmp_path / "clip.ts") as file:
        begin = [packet.pos for packet in file.demux(video=0) if packet.size][5]
    accounting = FrameAccounting()
    kinds: list[type] = []
    with (
        sent(data[begin:]) as address,
        FFmpegCamera(address, settings=SETTINGS, accounting=accounting, is_first=True) as camera,
        pytest.raises(SourceError),
    ):
        kinds.extend(type(item) for item in camera)
    first = kinds.index(LiveFrame)
    assert first > 20
    assert kinds[:first] == [AwaitsKeyFrame] * first
