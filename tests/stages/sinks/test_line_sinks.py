"""Run lengths against pycocotools, areas against counting, and what both files look like."""

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from icstream.model import CAMVID
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.coco_rle import rle_counts
from icstream.stages.sinks import AreaTable, RleLines


def frame(index: int, pts: int | None, size: tuple[int, int] = (48, 64)) -> SegmentedFrame:
    random = np.random.default_rng(index)
    ids = random.integers(0, 5, (size[0] // 4, size[1] // 4), dtype=np.uint8)
    ids = np.ascontiguousarray(ids.repeat(4, 0).repeat(4, 1))
    meta = FrameMeta("s", index, pts, Fraction(1001, 30000), (ids.shape[0], ids.shape[1]))
    return SegmentedFrame(meta, ids)


@pytest.mark.parametrize("block", [1, 2, 5, 16])
@pytest.mark.parametrize("num_ids", [1, 2, 11, 256])
def test_run_lengths_are_byte_for_byte_those_of_pycocotools(block: int, num_ids: int) -> None:
    random = np.random.default_rng(block)
    for _ in range(25):
        height, width = random.integers(1, 90, 2)
        coarse = random.integers(0, num_ids, (height // block + 1, width // block + 1), np.uint8)
        ids = np.ascontiguousarray(coarse.repeat(block, 0).repeat(block, 1)[:height, :width])
        counts = rle_counts(ids)
        assert list(counts) == np.unique(ids).tolist()
        for k, text in counts.items():
            wanted = coco.encode(np.asfortranarray((ids == k).astype(np.uint8)))
            assert text == wanted["counts"].decode()


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under numpy 2
def test_lines_decode_to_the_masks_they_came_from(tmp_path: Path) -> None:
    sink = RleLines(tmp_path, CAMVID)
    frames = [frame(0, 0), frame(1, 5), frame(2, None, (16, 128))]
    for item in frames:
        sink.write(item)
    sink.close()
    lines = (tmp_path / "masks.jsonl").read_text().splitlines()
    for item, line in zip(frames, map(json.loads, lines), strict=True):
        assert (line["index"], line["pts"]) == (item.meta.index, item.meta.pts)
        assert Fraction(line["time_base"]) == item.meta.time_base
        again = np.full(item.meta.size, 255, np.uint8)
        for entry in line["classes"]:
            assert entry["name"] == CAMVID.names[entry["id"]]
            again[coco.decode({"size": line["size"], "counts": entry["counts"]}) > 0] = entry["id"]
        assert (again == item.class_ids).all()


def test_shares_are_those_counted(tmp_path: Path) -> None:
    sink = AreaTable(tmp_path, CAMVID)
    frames = [frame(0, 7), frame(1, None)]
    for item in frames:
        sink.write(item)
    sink.close()
    with (tmp_path / "areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "pts", "seconds", *CAMVID.names]
    assert (rows[0]["pts"], rows[0]["seconds"]) == ("7", "0.233566667")
    assert (rows[1]["index"], rows[1]["pts"], rows[1]["seconds"]) == ("1", "", "")
    for item, row in zip(frames, rows, strict=True):
        for k, name in enumerate(CAMVID.names):
            assert float(row[name]) == pytest.approx((item.class_ids == k).mean(), abs=1e-6)


def test_each_line_is_on_disk_before_the_next_frame(tmp_path: Path) -> None:
    sinks = RleLines(tmp_path, CAMVID), AreaTable(tmp_path, CAMVID)
    for count in range(1, 4):
        for sink in sinks:
            sink.write(frame(count, count))
        assert len((tmp_path / "masks.jsonl").read_text().splitlines()) == count
        assert len((tmp_path / "areas.csv").read_text().splitlines()) == count + 1
    for sink in sinks:
        sink.close()


def test_a_change_of_format_is_a_part_and_not_a_file(tmp_path: Path) -> None:
    sink = RleLines(tmp_path, CAMVID)
    sink.write(frame(0, 0))
    sink.begin_part()
    sink.write(frame(1, 1, (16, 16)))
    sink.write(frame(2, 2, (16, 16)))
    sink.close()
    assert [(p.path, p.first_index, p.num_frames, p.size) for p in sink.parts] == [
        ("masks.jsonl", 0, 1, (48, 64)),
        ("masks.jsonl", 1, 2, (16, 16)),
    ]
