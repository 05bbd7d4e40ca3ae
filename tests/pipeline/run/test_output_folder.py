"""The output folder: one owner at a time, never emptied of what no earlier run wrote."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from icstream.model import ConfigError
from icstream.model.folder_lock import FolderLock
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.run.output_folder import StreamOutput, prepare_output
from support.clips import make_clip
from support.commands import call, error_line
from support.runs import run_pipeline

SINKS = ("masks", "overlay", "png", "rle", "areas", "supervisely", "rolling", "events")
OURS = (
    *("masks.mp4", "masks.0001.mp4", "overlay.mp4", "overlay.12345.mp4", "masks.jsonl"),
    *("masks/000000.png", "masks/1234567.png", "areas.csv", "events.jsonl", "events.state"),
    *("rolling/segments.jsonl", "rolling/masks.000000000.mp4", "rolling/overlay.000000750.mp4"),
    *("supervisely/meta.json", "supervisely/dataset/ann/drive.mp4.json"),
    "supervisely/dataset/video/drive.mp4",
)
"""What docs/outputs.md and docs/live-view.md say that sinks write, for a recording drive.mp4."""
THEIRS = (
    *("masks.backup.mp4", "masks.1.mp4", "masks/my_truth.png", "masks/notes.txt", "mine.mp4"),
    *(
        "rolling/best.mp4",
        "supervisely/dataset/video/other.mp4",
        "areas.old.csv",
        "masks/drive.png",
    ),
)


def fill(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def listing(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def note_run(folder: Path, **sinks: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"sinks": sinks}))


def drive(*sinks: str, source: Path = Path("drive.mp4")) -> StreamOutput:
    return StreamOutput("drive", sinks or SINKS, [source])


def prepare(folder: Path, *streams: StreamOutput, **options: Any) -> dict[str, Any]:
    options = {"overwrite": True, **options}
    prepared = prepare_output(folder, streams or [drive()], **options)
    prepared.lock.close()
    return dict(prepared.kept)


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "b", overwrite=False)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        prepare(tmp_path, overwrite=False)


def test_overwrite_removes_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    note_run(tmp_path, drive=SINKS)
    fill(tmp_path / "drive", OURS + THEIRS)
    fill(tmp_path, ("report.json", "notes.txt", "other/masks.mp4"))
    prepare(tmp_path)
    assert listing(tmp_path / "drive") == sorted(THEIRS)
    assert listing(tmp_path) == sorted(
        [*(f"drive/{name}" for name in THEIRS), "notes.txt", "other/masks.mp4", "run.json"]
    )


def test_folders_that_are_empty_then_go(tmp_path: Path) -> None:
    note_run(tmp_path, drive=SINKS)
    fill(tmp_path / "drive", OURS)
    prepare(tmp_path)
    assert not (tmp_path / "drive").exists()


def test_masks_of_images_are_known_by_the_names_of_the_images(tmp_path: Path) -> None:
    note_run(tmp_path, shots=["png"])
    masks = ("a.png", "a-2.png", "b.png", "c.png", "truth.png")
    fill(tmp_path / "shots" / "masks", masks)
    images = [Path("shots/a.jpg"), Path("shots/a.png"), Path("shots/b.jpg")]
    prepare(tmp_path, StreamOutput("shots", ["png"], images))
    assert listing(tmp_path / "shots") == ["masks/c.png", "masks/truth.png"]


@pytest.mark.parametrize(
    "manifest", [None, "", "[]", "{}", '{"sinks": 3}', '{"command": "annotate", "datasets": []}']
)
def test_where_no_run_is_overwrite_is_refused(tmp_path: Path, manifest: str | None) -> None:
    fill(tmp_path, ["drive/masks/my_truth.png"])
    if manifest is not None:
        (tmp_path / "run.json").write_text(manifest)
    before = listing(tmp_path)
    with pytest.raises(ConfigError, match=r"contains no earlier run .*another folder"):
        prepare(tmp_path)
    assert listing(tmp_path) == before


def test_files_where_the_earlier_run_wrote_none_are_not_replaced(tmp_path: Path) -> None:
    note_run(tmp_path, drive=["areas"], other=["masks"])
    fill(tmp_path, ["drive/masks.mp4", "drive/areas.csv"])
    with pytest.raises(ConfigError, match=r"drive/masks.mp4: was not written by the run"):
        prepare(tmp_path, drive("masks"))
    assert listing(tmp_path) == ["drive/areas.csv", "drive/masks.mp4", "run.json"]


def test_streams_that_the_new_run_lacks_stay_and_stay_known(tmp_path: Path) -> None:
    note_run(tmp_path, drive=["masks"], gate=["masks"])
    fill(tmp_path, ["drive/masks.mp4", "gate/masks.mp4"])
    kept = prepare(tmp_path, drive("masks"))
    assert kept == {"earlier_streams": {"gate": ["masks"]}}
    (tmp_path / "run.json").write_text(json.dumps({"sinks": {"drive": ["masks"]}, **kept}))
    prepare(tmp_path, StreamOutput("gate", ["masks"], [Path("gate.mp4")]))
    assert listing(tmp_path) == ["run.json"]


def test_a_source_is_never_removed(tmp_path: Path) -> None:
    note_run(tmp_path, drive=["masks"])
    fill(tmp_path, ["drive/masks.mp4"])
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / "drive" / "masks.mp4")
    for source in (tmp_path / "drive" / "masks.mp4", link):
        with pytest.raises(ConfigError, match="is a source of this run"):
            prepare(tmp_path, drive("masks", source=source))
    assert (tmp_path / "drive" / "masks.mp4").exists()


@pytest.mark.parametrize("linked", ["drive", "drive/masks"])
def test_nothing_is_removed_through_a_link(tmp_path: Path, linked: str) -> None:
    out = tmp_path / "out"
    note_run(out, drive=["png"])
    fill(tmp_path / "elsewhere", ["masks/000000.png", "000000.png"])
    (out / linked).parent.mkdir(exist_ok=True)
    (out / linked).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="behind a symbolic link"):
        prepare(out, drive("png"))
    assert listing(tmp_path / "elsewhere") == ["000000.png", "masks/000000.png"]


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="a folder is needed"):
        prepare(tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        prepare(tmp_path / "out", overwrite=False)


def test_a_folder_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        prepare(tmp_path / "file" / "out", overwrite=False)


def test_a_folder_in_use_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    note_run(tmp_path, drive=["masks"])
    fill(tmp_path, ["drive/masks.mp4"])
    with FolderLock(tmp_path), pytest.raises(ConfigError, match="in use"):
        prepare(tmp_path)
    assert (tmp_path / "drive" / "masks.mp4").exists()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "drive.mp4"
    return make_clip(path, pts=tuple(range(20)), size=(48, 64))


@pytest.mark.slow
def test_nobody_writes_beside_a_run_that_is_under_way(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refusals: list[tuple[int, str]] = []

    def intrude(_stream: StreamState, _lease: Lease) -> None:
        if not refusals:
            for option in ("--resume", "--overwrite"):
                done = call("run", clip, "-o", out, "--weights", "streets", "--quiet", option)
                refusals.append((done.returncode, error_line(done)))

    result = run_pipeline(clip, out, sinks=("areas",), on_frame=intrude)
    assert [code for code, _ in refusals] == [2, 2]
    assert all("in use" in line and str(out) in line for _, line in refusals)
    assert result.exit_code == 0
    assert len((out / "drive" / "areas.csv").read_text().splitlines()) == 1 + 20
    assert json.loads((out / "run.json").read_text())["sinks"] == {"drive": ["areas"]}
