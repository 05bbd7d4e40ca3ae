"""Recordings of which something is missing, or which refer to what they must not read."""

import errno
import io
import re
from pathlib import Path

import pytest

from icstream.model import SourceError
from icstream.stages import FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from support.clips import make_clip
from support.recordings import read

TIMES = tuple(range(40))
VIDEO_PID = 0x100
"""What FFmpeg's muxer gives to the first stream; the flag of a frame's beginning is not set."""


class FailingFile(io.FileIO):
    """A file on a disk that gives no data from some byte on."""

    bad_from = 0

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.bad_from:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(min(size or 0, 4096)) or b""


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.ts", "libx264"),
        ("clip.mkv", "libx264"),
        ("clip.flv", "libx264"),
        ("clip.avi", "mpeg4"),
        ("clip.mpg", "mpeg2video"),
        ("clip.h264", "libx264"),
    ],
)
def test_a_disk_that_fails_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str
) -> None:
    container = "h264" if name.endswith("h264") else None
    path = make_clip(tmp_path / name, pts=TIMES, size=(240, 320), codec=codec, container=container)
    real_open = Path.open

    def open_failing(opened: Path, *arguments: object, **options: object) -> object:
        if opened != path:
            return real_open(opened, *arguments, **options)  # type: ignore[call-overload]
        file = FailingFile(path)
        file.bad_from = path.stat().st_size * 3 // 4 if FailingFile.bad_from else 10**9
        return file

    monkeypatch.setattr(Path, "open", open_failing)
    assert read(path)[3] is None
    monkeypatch.setattr(FailingFile, "bad_from", 1)
    num_frames, _, _, error = read(path)
    assert 0 < num_frames < 40
    assert re.search(r"reading stopped: byte \d+ of \S+ cannot be read \(Input/output", error or "")


@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
def test_zeros_between_packets_cost_nothing(tmp_path: Path, suffix: str) -> None:
    first = make_clip(tmp_path / "a.ts", pts=TIMES)
    second = make_clip(tmp_path / "b.ts", pts=tuple(time + 40 for time in TIMES))
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(first.read_bytes() + bytes(140_000) + second.read_bytes())
    num_frames, accounting, _, error = read(path)
    assert (num_frames, accounting.undecodable.total(), error) == (80, 0, None)


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mkv", "libx264"), ("clip.webm", "libvpx-vp9"), ("c.flv", "libx264")]
)
def test_a_recording_shorter_than_its_header_says_is_not_complete(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = make_clip(tmp_path / name, pts=tuple(range(100)), codec=codec)
    _, accounting, _, _ = read(path)
    assert accounting.complete
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    num_frames, accounting, _, _ = read(path)
    assert 0 < num_frames < 100
    assert not accounting.complete
    assert "that its header states" in (accounting.cut_short or "")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.ts", "libx264"), ("clip.webm", "libvpx-vp9"), ("clip.mkv", "libx264")],
)
def test_frames_that_a_hole_has_swallowed_are_missed(tmp_path: Path, name: str, codec: str) -> None:
    path = make_clip(tmp_path / name, pts=tuple(range(100)), codec=codec, gop=10)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(200_000) + content[middle + 2_000 :])
    num_frames, accounting, _, _ = read(path)
    assert 0 < num_frames < 100
    assert "s are missing where nothing in it can be read" in (accounting.cut_short or "")


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
def test_lost_transport_packets_cost_a_frame_wherever_they_are(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    whole = make_clip(
        tmp_path / "a.ts", pts=TIMES, codec=codec, size=(240, 320), options=options, gop=10
    )
    packets = [whole.read_bytes()[at : at + 188] for at in range(0, whole.stat().st_size, 188)]
    path = tmp_path / f"clip{suffix}"
    lead = bytes(4) if suffix == ".m2ts" else b""
    path.write_bytes(b"".join(lead + packet for packet in packets))
    assert read(path)[1].complete
    inside = [
        number
        for number, packet in enumerate(packets)
        if (packet[1] << 8 | packet[2]) == VIDEO_PID and (packets[number - 1][1] & 0x1F) == 1
    ]
    for number in inside[2 :: len(inside) // 5]:
        kept = packets[:number] + packets[number + 1 :]
        path.write_bytes(b"".join(lead + packet for packet in kept))
        num_frames, accounting, _, _ = read(path)
        assert (num_frames < 40, accounting.complete) == (True, False)


def test_an_avi_without_its_index_is_not_complete(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", pts=tuple(range(100)), codec="mpeg4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    num_frames, accounting, info, _ = read(path)
    assert info.num_frames == 100
    assert accounting.packets + accounting.missing == 100
    assert 0 < num_frames < 100


def playlist(*names: str, end: bool = True) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
    for name in names:
        lines += ["#EXTINF:1.6,", name]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if end else [])])


@pytest.mark.parametrize("end", [True, False])
def test_a_playlist_is_read_to_its_last_segment(tmp_path: Path, end: bool) -> None:
    make_clip(tmp_path / "0.ts", pts=TIMES)
    make_clip(tmp_path / "1.ts", pts=tuple(time + 40 for time in TIMES))
    path = tmp_path / "list.m3u8"
    path.write_text(playlist("0.ts", "1.ts", end=end))
    num_frames, accounting, info, error = read(path)
    assert (num_frames, accounting.complete, error) == (80, True, None)
    assert bool(info.notes) is not end


def test_of_several_variants_the_largest_is_read(tmp_path: Path) -> None:
    make_clip(tmp_path / "low.ts", pts=TIMES)
    make_clip(tmp_path / "high.ts", pts=TIMES, size=(128, 192))
    lines = ["#EXTM3U"]
    for name in ("low", "high"):
        (tmp_path / f"{name}.m3u8").write_text(playlist(f"{name}.ts"))
        lines += ["#EXT-X-STREAM-INF:BANDWIDTH=100000", f"{name}.m3u8"]
    path = tmp_path / "all.m3u8"
    path.write_text("\n".join(lines))
    num_frames, accounting, info, _ = read(path)
    assert (num_frames, info.size, accounting.complete) == (40, (128, 192), True)
    assert [note.split(";")[0] for note in info.notes] == [
        "of its 2 video tracks, 1 (h264 192x128) is read"
    ]


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    make_clip(tmp_path / "0.ts", pts=TIMES)
    path = tmp_path / "list.m3u8"
    path.write_text(playlist("0.ts", "1.ts"))
    num_frames, _, _, error = read(path)
    assert num_frames == 40 or num_frames == 0
    assert "1.ts cannot be opened (No such file or directory)" in (error or "")


SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", playlist("file://OUTSIDE")),
        ("list.m3u8", playlist("../secret.ts")),
        ("list.m3u8", playlist("link.ts")),
        ("list.m3u8", playlist("http://127.0.0.1:9/a.ts")),
        ("clip.mp4", "ffconcat version 1.0\nfile beside.ts\n"),
        ("clip.mp4", playlist("beside.ts")),
        ("clip.m3u8", "ffconcat version 1.0\nfile beside.ts\n"),
        ("clip.mp4", SDP + "a=rtpmap:96 H264/90000\n"),
    ],
    ids=["url", "parent", "link", "http", "concat", "hls as mp4", "concat as hls", "sdp"],
)
def test_only_the_files_of_the_recording_are_read(tmp_path: Path, name: str, content: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    secret = make_clip(tmp_path / "secret.ts", pts=TIMES)
    make_clip(folder / "beside.ts", pts=TIMES)
    (folder / "link.ts").symlink_to(secret)
    path = folder / name
    path.write_text(content.replace("OUTSIDE", str(secret)))
    (spec,) = find_sources([str(path)])
    with pytest.raises(SourceError, match="not a video that FFmpeg can read"):
        open_source(spec, accounting=FrameAccounting())


def test_a_name_with_a_colon_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "clip.ts").rename(tmp_path / "concat:clip.ts")
    monkeypatch.chdir(tmp_path)
    assert read(Path("concat:clip.ts"))[0] == 12
