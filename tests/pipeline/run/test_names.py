"""Runs over what people call their files, and what folders of cameras hold."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from icstream.pipeline.run.report import build_report, summarize
from support.clips import make_clip, moving_image
from support.runs import read_ids, run_pipeline

pytestmark = pytest.mark.slow

NAMES = (b"2024-01-01T12:30:45.mp4", b"caf\xe9.mp4", b"concat:a.mp4", b"x\n\x1b[31mERROR.mp4")


def test_every_name_gives_a_stream_with_a_printable_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    drive, out = Path("drive"), Path(os.fsdecode(b"12:30/\xff"))
    drive.mkdir()
    for name in map(os.fsdecode, NAMES):
        make_clip(tmp_path / "clip", pts=range(3), container="mp4").rename(drive / name)
    make_clip(tmp_path / "clip", pts=range(3), container="mp4").rename("run.json.mp4")
    pages = [Image.fromarray(moving_image(index, (64, 64))) for index in range(3)]
    pages[0].save(drive / os.fsdecode(b"\xe9.tif"), save_all=True, append_images=pages[1:])
    for name in ("._b.mp4", ".hidden", "notes.txt", "bad.jpg"):
        (drive / name).write_bytes(b"x")
    sinks = ("masks", "png")
    caplog.set_level("INFO", "icstream")
    result = run_pipeline([drive, Path("run.json.mp4")], out, sinks=sinks)
    report = build_report(result, exit_code=result.exit_code)
    assert result.exit_code == 3  # bad.jpg
    streams = report["streams"]
    videos = ["2024-01-01T12_30_45", "caf_", "concat_a", "x_31mERROR", "run.json-2"]
    assert list(streams) == [*videos[:4], "drive", "run.json-2"]
    assert [streams[name]["encoded"] for name in videos] == 5 * [3]
    assert all(len(read_ids(out.resolve() / name / "masks.mp4")) == 3 for name in videos)
    images = streams["drive"]
    assert list(images["left_out"].values()) == [2]
    assert images["gaps"][0]["reason"].startswith("unreadable image bad.jpg: no image in one of")
    assert [path.name for path in (out / "drive" / "masks").iterdir()] == [r"\xe9.png"]
    assert report["left_out"] == [
        {"source": "drive", "reason": "no video or image", "files": ["notes.txt"]}
    ]
    assert "drive: left out: notes.txt (no video or image)" in caplog.messages
    for text in (json.dumps(report, ensure_ascii=False), *summarize(result)):
        assert "\x1b" not in text
        text.encode()
    assert json.loads((out / "run.json").read_text())["sources"]["caf_"][0] == "drive"
