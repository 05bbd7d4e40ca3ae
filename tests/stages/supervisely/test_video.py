"""Annotations of videos: what is refused, and the text that is written frame by frame."""

import json
from typing import Any

import pytest

from icstream.model.errors import SampleError
from icstream.stages.supervisely.video import (
    check_video_annotation,
    figure_as_object,
    frame_text,
    geometry_of,
    text_after_frames,
    text_before_frames,
    video_figure,
    video_head,
    video_object,
    without_text_after_frames,
)

BOX = {"points": {"exterior": [[1, 2], [3, 4]], "interior": []}}


def figure(index: int) -> dict[str, Any]:
    return video_figure("drive.mp4", "Car", "rectangle", BOX, index)


def written(num_frames: int) -> str:
    head = video_head("drive.mp4", (480, 640), [video_object("drive.mp4", "Car")])
    lines = [frame_text(k, [figure(k)], is_first=k == 0) for k in range(num_frames)]
    return text_before_frames(head) + "\n".join(lines) + "\n" + text_after_frames(num_frames)


def test_what_is_written_frame_by_frame_is_an_annotation() -> None:
    values = json.loads(written(3))
    check_video_annotation(values)
    assert values["size"] == {"height": 480, "width": 640}
    assert values["framesCount"] == 3
    assert [frame["index"] for frame in values["frames"]] == [0, 1, 2]
    assert values["frames"][1]["figures"] == [figure(1)]


def test_a_whole_annotation_can_be_opened_again() -> None:
    text = without_text_after_frames(written(2))
    more = f"{text}{frame_text(2, [], is_first=False)}\n{text_after_frames(3)}"
    assert [frame["index"] for frame in json.loads(more)["frames"]] == [0, 1, 2]


def test_keys_depend_on_names_alone() -> None:
    keys = [figure(0)["key"], figure(0)["key"], figure(1)["key"]]
    assert keys[0] == keys[1] != keys[2]
    assert figure(0)["objectKey"] == video_object("drive.mp4", "Car")["key"]


def test_a_figure_becomes_an_object_and_that_the_same_geometry() -> None:
    entry = figure_as_object(figure(0), "Car")
    assert entry["classTitle"] == "Car"
    assert geometry_of(entry) == {**BOX, "geometryType": "rectangle"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objects": []}, "frame 0: a figure belongs to no object"),
        ({"frames": [{"index": "one", "figures": []}]}, "index"),
        ({"size": {"height": 480}}, "width"),
    ],
)
def test_what_is_no_annotation_of_a_video_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SampleError, match=words):
        check_video_annotation(json.loads(written(1)) | change)
