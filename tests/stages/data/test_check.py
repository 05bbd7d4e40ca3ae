"""Counting what is in a data set."""

from pathlib import Path

import numpy as np
import pytest

from icstream.model import CAMVID
from icstream.stages.data import check_data, open_labeled_folder
from icstream.stages.data.sample_sheet import draw_sample_sheet
from support.projects import make_folder

WIDE = np.array([[0, 0, 0, 1], [11, 11, 255, 255]], np.uint8)
TALL = np.array([[3], [3], [11], [3]], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    wide, tall = WIDE.repeat(20, 0).repeat(20, 1), TALL.repeat(20, 0).repeat(20, 1)
    lists = {"train": {"a": wide, "b": tall, "bad": wide}, "val": {"b": tall}}
    make_folder(tmp_path, lists)
    (tmp_path / "labels" / "bad.png").write_bytes(b"")
    return tmp_path


def test_pixels_sizes_and_shares_are_counted_by_split(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    findings = check_data(open_labeled_folder(folder), watch=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)], "a sample of two splits is loaded once"
    train, val = findings.splits["train"], findings.splits["val"]
    assert (train.num_samples, train.num_corrupted) == (3, 1)
    assert train.sizes == {(80, 40): 1, (20, 80): 1}
    # a: 3 Sky, 1 Building, 4 void; b: 3 Road, 1 void; in blocks of 400 pixels.
    assert [int(train.counts[k]) for k in (0, 1, 3)] == [1200, 400, 1200]
    assert train.void_share == pytest.approx(5 / 12)
    assert train.share(0) == pytest.approx(3 / 7)
    assert (val.share(3), val.share(0)) == (1, 0)
    assert findings.never() == [n for k, n in enumerate(CAMVID.names) if k not in (0, 1, 3)]
    assert findings.num_in_several == 1
    assert findings.corrupted == (f"{folder / 'labels' / 'bad.png'}: no PNG",)
    text = "\n".join(findings.lines())
    for part in ("3 samples, 1 of them corrupted", "80x40 (1)", "void 41.67 %", "bad.png: no PNG"):
        assert part in text


def test_the_sheet_shows_images_of_all_sizes_beside_their_labels(folder: Path) -> None:
    sheet = draw_sample_sheet(open_labeled_folder(folder), num_rows=2)
    assert sheet is not None
    colors = {tuple(color) for color in np.unique(sheet.reshape(-1, 3), axis=0).tolist()}
    assert {CAMVID.colors[k] for k in (0, 1, 3)} <= colors
    assert {(10, 20, 30), (200, 200, 200)} <= colors, "the images' color, and void"


def test_without_a_sample_that_can_be_loaded_there_is_no_sheet(folder: Path) -> None:
    (folder / "train.txt").write_text("bad\n")
    (folder / "val.txt").unlink()
    data = open_labeled_folder(folder)
    assert draw_sample_sheet(data) is None
    findings = check_data(data)
    assert findings.splits["train"].void_share is None
    assert findings.values()["classes"][0]["share"] == {"train": None}
    assert "no images" in findings.lines()[1]
