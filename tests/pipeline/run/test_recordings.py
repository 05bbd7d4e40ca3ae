"""What a run says of recordings that hold more, or less, than they seem to."""

from pathlib import Path

import pytest
from PIL import Image

from icstream.pipeline.run.report import build_report, summarize
from support.clips import make_clip
from support.recordings import Video, make_tracks
from support.runs import run_pipeline

pytestmark = pytest.mark.slow


def test_tracks_and_missing_parts_are_reported(tmp_path: Path) -> None:
    both = make_tracks(tmp_path / "both.ts", Video((64, 96), 6), Video((64, 96), 9))
    cut = make_clip(tmp_path / "cut.mkv", pts=tuple(range(100)), size=(64, 96))
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    entries = [{"source": str(both), "track": "all"}, {"source": str(both)}]
    result = run_pipeline(cut, tmp_path / "out", sinks=("areas",), streams=entries)
    report = build_report(result, exit_code=result.exit_code)
    streams, lines = report["streams"], summarize(result)
    assert result.exit_code == 3
    decoded = {name: stream["decoded"] for name, stream in streams.items()}
    assert decoded == {"both.track0": 6, "both.track1": 9, "both": 6, "cut": decoded["cut"]}
    assert ["notes" in stream for stream in streams.values()] == [False, False, True, False]
    assert "left out: 1 (mpeg4 96x64)" in streams["both"]["notes"][0]
    assert f"both: {streams['both']['notes'][0]}" in lines
    assert 0 < decoded["cut"] < 100
    assert f"cut: the recording is not complete: {streams['cut']['cut_short']}" in lines


def test_frames_that_are_too_wide_for_a_video_cost_the_other_sinks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, width in enumerate((96, 16_386, 96)):  # x264 takes sides up to 16384
        Image.new("RGB", (width, 64)).save(folder / f"{index}.png")
    result = run_pipeline(folder, tmp_path / "out", sinks=("masks", "overlay"))
    assert result.exit_code == 0
    (stream,) = build_report(result, exit_code=0)["streams"].values()
    parts = {sink: [part["frames"] for part in stream["parts"][sink]] for sink in stream["parts"]}
    assert parts == {"masks": [1, 1, 1], "overlay": [1, 1]}
