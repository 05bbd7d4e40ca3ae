"""The Supervisely project, opened by the official SDK in an environment of its own."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from icstream.model import CAMVID, ConfigError
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import SinkContext, open_sink
from support.clips import make_clip
from support.sdk import run_sdk

_READER = """
import sys
import numpy as np
import supervisely as sly
project = sly.VideoProject(sys.argv[1], sly.OpenMode.READ)
(dataset,) = project.datasets
(name,) = list(dataset)
ann = dataset.get_ann(name, project.meta)
masks = np.full((ann.frames_count, *ann.img_size), 255, np.uint8)
classes = sys.argv[3].split(",")
for frame in ann.frames:
    for figure in frame.figures:
        canvas = np.zeros(ann.img_size, np.uint8)
        figure.geometry.draw(canvas, 1)
        masks[frame.index][canvas > 0] = classes.index(figure.video_object.obj_class.name)
np.save(sys.argv[2], masks)
print(name, [obj_class.name for obj_class in project.meta.obj_classes] == classes)
"""


def frame(index: int, size: tuple[int, int] = (64, 96)) -> SegmentedFrame:
    random = np.random.default_rng(index)
    ids = random.integers(0, 11, (size[0] // 8, size[1] // 8), dtype=np.uint8).repeat(8, 0)
    meta = FrameMeta("clip", index, index, Fraction(1, 25), size)
    return SegmentedFrame(meta, np.ascontiguousarray(ids.repeat(8, 1)))


def write(folder: Path, source: Path, frames: list[SegmentedFrame]) -> Path:
    sink = open_sink("supervisely", SinkContext(folder, CAMVID, source))
    for item in frames:
        sink.write(item)
    sink.close()
    return folder / "supervisely"


@pytest.mark.slow
def test_the_official_sdk_reads_every_mask(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=tuple(range(6)))
    frames = [frame(index) for index in range(6)]
    project = write(tmp_path / "out", clip, frames)
    masks = tmp_path / "masks.npy"
    said = run_sdk(_READER, project, masks, ",".join(CAMVID.names))
    assert said.endswith("clip.mp4 True")
    for item, got in zip(frames, np.load(masks), strict=True):
        assert (got == item.class_ids).all()


def test_the_video_is_in_the_project_and_the_annotation_is_whole(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    project = write(tmp_path / "out", clip, [frame(0), frame(1), frame(2, (32, 48))])
    assert (project / "dataset" / "video" / "clip.mp4").read_bytes() == clip.read_bytes()
    (annotation,) = (project / "dataset" / "ann").iterdir()
    assert annotation.name == "clip.mp4.json"
    values = json.loads(annotation.read_text())
    assert values["framesCount"] == 2, "the frame of another size is left out"
    keys = {entry["key"] for entry in values["objects"]}
    assert {figure["objectKey"] for f in values["frames"] for figure in f["figures"]} <= keys


def test_the_same_frames_give_the_same_project(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    first, second = (write(tmp_path / name, clip, [frame(0), frame(1)]) for name in ("a", "b"))
    for path in first.rglob("*.json"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a video file"):
        open_sink("supervisely", SinkContext(tmp_path, CAMVID, None))


def test_closing_twice_leaves_the_annotation_as_it_is(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=tuple(range(2)))
    sink = open_sink("supervisely", SinkContext(tmp_path / "out", CAMVID, clip))
    for index in range(2):
        sink.write(frame(index))
    sink.close()
    sink.close()
    (annotation,) = (tmp_path / "out").rglob("ann/*.json")
    assert len(json.loads(annotation.read_text(encoding="utf-8"))["frames"]) == 2
