"""`icstream annotate` as a user meets it."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from icstream.model import Segmenter, load_weights
from icstream.pipeline import segment
from support.clips import make_clip
from support.commands import COMMAND, call, error_line
from support.projects import Project, outline, thing
from support.sdk import run_sdk
from support.stand_in import mask_of, read
from support.street_samples import street_sample

STREETS = ("--weights", "streets", "--device", "cpu", "--threads", "1")
SIZE = (96, 128)


def annotate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return call("annotate", *arguments)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in a project, without what tells of the run itself."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "report.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def street_project(folder: Path, num_images: int) -> Project:
    project = Project(folder, {"Car": "rectangle"})
    car = thing("Car", outline([[10, 20], [60, 80]]))
    for index in range(num_images):
        dataset = "a" if index % 2 else "b/datasets/c"
        image, _ = project.add(f"{index}.png", objects=[car], size=SIZE, dataset=dataset)
        Image.fromarray(street_sample(index, size=SIZE).rgb_HW3).save(image)
    (folder / "b" / "img").mkdir()
    (folder / "b" / "ann").mkdir()
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_project(tmp_path_factory.mktemp("in") / "streets", 4).folder


_READ_IMAGES = """
import sys
import numpy as np
import supervisely as sly
project = sly.Project(sys.argv[1], sly.OpenMode.READ)
masks = {}
for dataset in project.datasets:
    for name in dataset:
        ann = dataset.get_ann(name, project.meta)
        ids = np.zeros(ann.img_size, np.uint8)
        for label in ann.labels:
            if label.obj_class.name.endswith("_icnet"):
                label.draw(ids, [1 + sys.argv[3].split(",").index(label.obj_class.name[:-6])])
        masks[name.partition(".")[0]] = ids
np.savez(sys.argv[2], **masks)
print(len(project.datasets), project.total_items)
"""


@pytest.mark.slow
def test_the_official_sdk_reads_the_masks_of_the_segmenter(project: Path, tmp_path: Path) -> None:
    before = contents(project)
    out, file = tmp_path / "out", tmp_path / "copy.json"
    done = annotate(project, "-o", out, *STREETS, "--precision", "fp32", "--json", file)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert contents(project) == before, "never in place"
    values = read(file)
    assert values == read(out / "report.json")
    assert (values["items"], values["annotated"], values["failed"]) == (4, 4, [])
    segmenter = Segmenter(load_weights("streets"), device="cpu", precision="fp32", threads=1)
    masks = tmp_path / "masks.npz"
    said = run_sdk(_READ_IMAGES, out, masks, ",".join(segmenter.labels.names))
    assert said.split()[-1] == "4"
    read_back = np.load(masks)
    for index in range(4):
        wanted = segmenter(street_sample(index, size=SIZE).rgb_HW3) + 1
        assert (read_back[str(index)] == wanted).all()


@pytest.mark.slow
def test_a_run_that_was_killed_is_continued_to_the_same_project(tmp_path: Path) -> None:
    project = street_project(tmp_path / "in", 12).folder
    config = tmp_path / "c.json"
    window = {"window": {"width": 64, "height": 64}, "min_overlap": {"x": 40, "y": 40}}
    renamer = {"add_suffix": "_icnet"}
    mode = {"name": "sliding_window", "model_classes": renamer, "background": "compete", **window}
    config.write_text(json.dumps({"model": {}, "mode": mode}))
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert annotate(project, "-o", whole, "-c", config, *STREETS).returncode == 0
    options = [str(project), "-o", str(part), "-c", str(config), *STREETS]
    process = subprocess.Popen([*COMMAND, "annotate", *options], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(part.rglob("*.png.json"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done_before = len(list(part.rglob("*.png.json")))
    assert 3 <= done_before < 12
    refused = call("annotate", *options)
    assert refused.returncode == 2
    assert "--resume" in error_line(refused, after_log=True)
    other = call("annotate", project, "-o", part, *STREETS, "--resume")
    assert other.returncode == 2
    assert "differs in config" in error_line(other, after_log=True)
    done = annotate(*options, "--resume")
    assert done.returncode == 0, done.stderr
    assert contents(part) == contents(whole)
    again = annotate(*options, "--overwrite")
    assert again.returncode == 0
    assert contents(part) == contents(whole)


def test_images_that_cannot_be_read_are_named_and_give_exit_code_3(tmp_path: Path) -> None:
    project = Project(tmp_path / "in", {"car": "rectangle"})
    for name in ("good.png", "cut.png", "broken.png", "small.png"):
        project.add(name, size=SIZE if name != "small.png" else (40, 40))
    image = project.folder / "ds" / "img" / "cut.png"
    image.write_bytes(image.read_bytes()[:60])
    (project.folder / "ds" / "ann" / "broken.png.json").write_text("{")
    config = tmp_path / "c.yaml"
    config.write_text("{model: {}, mode: {name: sliding_window, window: {width: 64, height: 64}}}")
    out = tmp_path / "out"
    done = annotate(project.folder, "-o", out, "-c", config, *STREETS, "--json", "-")
    assert done.returncode == 3, done.stderr
    values = json.loads(done.stdout)
    assert values["annotated"] == 1
    failed = {entry["name"]: entry["error"] for entry in values["failed"]}
    assert failed.keys() == {"ds/cut.png", "ds/broken.png", "ds/small.png"}
    assert "64x64 is larger than the image, 40x40" in failed["ds/small.png"]
    assert "1 of 4 images annotated" in done.stderr
    assert all(f"left out: {name}: " in done.stderr for name in failed)
    assert "Traceback" not in done.stderr
    assert [path.name for path in (out / "ds" / "img").iterdir()] == ["good.png"]


_READ_VIDEO = """
import sys
import numpy as np
import supervisely as sly
project = sly.VideoProject(sys.argv[1], sly.OpenMode.READ)
(dataset,) = project.datasets
(name,) = list(dataset)
ann = dataset.get_ann(name, project.meta)
names = sys.argv[3].split(",")
masks = np.zeros((ann.frames_count, *ann.img_size), np.uint8)
others = 0
for frame in ann.frames:
    for figure in frame.figures:
        title = figure.video_object.obj_class.name
        if not title.endswith("_icnet"):
            others += 1
            continue
        canvas = np.zeros(ann.img_size, np.uint8)
        figure.geometry.draw(canvas, 1)
        masks[frame.index][canvas > 0] = 1 + names.index(title[:-6])
np.save(sys.argv[2], masks)
print(ann.frames_count, others, len(ann.tags))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [street_sample(index, size=SIZE).rgb_HW3 for index in range(5)]
    path = tmp_path_factory.mktemp("clip") / "drive.mp4"
    return make_clip(path, pts=range(5), size=SIZE, images=images)


def read_video(project: Path, masks: Path, names: tuple[str, ...]) -> tuple[str, Any]:
    said = run_sdk(_READ_VIDEO, project, masks, ",".join(names))
    return said.splitlines()[-1], np.load(masks)


@pytest.mark.slow
def test_a_recording_becomes_a_video_project_and_that_another(clip: Path, tmp_path: Path) -> None:
    first, masks = tmp_path / "first", tmp_path / "masks.npy"
    options = [*STREETS, "--precision", "fp32"]
    done = annotate(clip, "-o", first, *options)
    assert done.returncode == 0, done.stderr
    names = load_weights("streets").labels.names
    said, got = read_video(first, masks, names)
    assert said == "5 0 0"
    segmented = segment(clip, weights="streets", device="cpu", precision="fp32", threads=1)
    for item, mask in zip(segmented, got, strict=True):
        assert np.array_equal(mask, item.class_ids + 1)

    # The same project again, under other names, as one that has figures and a tag already.
    annotation = first / "dataset" / "ann" / "drive.mp4.json"
    values, meta = read(annotation), read(first / "meta.json")
    meta["tags"] = [{"name": "wet", "value_type": "none", "color": "#010203"}]
    for entry in [*meta["classes"], *values["objects"]]:
        key = "title" if "title" in entry else "classTitle"
        entry[key] = entry[key].replace("_icnet", "_old")
    values["tags"] = [{"name": "wet", "key": "ab" * 16, "frameRange": [1, 3]}]
    annotation.write_text(json.dumps(values))
    (first / "meta.json").write_text(json.dumps(meta))
    num_before = sum(len(frame["figures"]) for frame in values["frames"])
    second = tmp_path / "second"
    done = annotate(first, "-o", second, *options)
    assert done.returncode == 0, done.stderr
    said, again = read_video(second, masks, names)
    assert said == f"5 {num_before} 1"
    assert np.array_equal(again, got)


@pytest.mark.slow
def test_a_recording_is_continued_to_the_same_project(clip: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    for out in (whole, part):
        assert annotate(clip, "-o", out, *STREETS).returncode == 0
    # As kill -9 would leave it: two frames and a torn line under the other name.
    annotation = part / "dataset" / "ann" / "drive.mp4.json"
    lines = annotation.read_bytes().splitlines(keepends=True)
    annotation.with_name("drive.mp4.json.partial").write_bytes(b"".join(lines[:4]) + lines[4][:50])
    annotation.unlink()
    done = annotate(clip, "-o", part, *STREETS, "--resume")
    assert done.returncode == 0, done.stderr
    assert contents(part) == contents(whole)


def one_figure(folder: Path, clip: Path, *, index: int) -> tuple[Path, dict[str, Any]]:
    """Return a video project with a rectangle on one frame, and that figure."""
    for name in ("video", "ann"):
        (folder / "ds" / name).mkdir(parents=True)
    (folder / "ds" / "video" / "drive.mp4").write_bytes(clip.read_bytes())
    classes = [{"title": "box", "shape": "rectangle", "color": "#112233"}]
    (folder / "meta.json").write_text(
        json.dumps({"classes": classes, "tags": [], "projectType": "videos"})
    )
    figure = {
        "key": "1" * 32,
        "objectKey": "2" * 32,
        "geometryType": "rectangle",
        "geometry": outline([[8, 16], [71, 79]]),
    }
    values = {
        "size": {"height": SIZE[0], "width": SIZE[1]},
        "description": "",
        "key": "3" * 32,
        "tags": [],
        "objects": [{"key": "2" * 32, "classTitle": "box", "tags": []}],
        "frames": [{"index": index, "figures": [figure]}],
        "framesCount": 5,
    }
    (folder / "ds" / "ann" / "drive.mp4.json").write_text(json.dumps(values))
    return folder, figure


def test_boxes_of_figures_are_looked_at(clip: Path, tmp_path: Path) -> None:
    folder, figure = one_figure(tmp_path / "in", clip, index=2)
    out = tmp_path / "out"
    done = annotate(folder, "-o", out, "-c", "annotate_objects", *STREETS)
    assert done.returncode == 0, done.stderr
    new = read(out / "ds" / "ann" / "drive.mp4.json")
    frames = {frame["index"]: frame["figures"] for frame in new["frames"]}
    assert [len(frames[index]) for index in (0, 1, 3, 4)] == [0, 0, 0, 0]
    assert frames[2][-1] == figure
    covered = sum(mask_of(entry["geometry"], SIZE).astype(int) for entry in frames[2][:-1])
    box = np.zeros(SIZE, int)
    box[6:90, 0:82] = 1  # the figure and 10 pixels on each side, cut at the left edge
    assert np.array_equal(covered, box)


def test_a_recording_that_lacks_frames_with_figures_is_left_out(clip: Path, tmp_path: Path) -> None:
    folder, _ = one_figure(tmp_path / "in", clip, index=7)
    for part, name in (("video", "whole.mp4"), ("ann", "whole.mp4.json")):
        source = folder / "ds" / part / name.replace("whole", "drive")
        (folder / "ds" / part / name).write_bytes(source.read_bytes())
    whole = folder / "ds" / "ann" / "whole.mp4.json"
    whole.write_text(whole.read_text().replace('"index": 7', '"index": 4'))
    done = annotate(folder, "-o", tmp_path / "out", *STREETS)
    assert done.returncode == 3
    assert "5 frames could be decoded, but frame 7 has figures" in done.stderr
    left = {path.name for path in (tmp_path / "out" / "ds").rglob("*.*")}
    assert left == {"whole.mp4", "whole.mp4.json"}


def test_what_is_no_video_is_left_out_and_named(clip: Path, tmp_path: Path) -> None:
    folder, _ = one_figure(tmp_path / "in", clip, index=2)
    videos = folder / "ds" / "video"
    (videos / "folder.mp4").mkdir()
    (videos / "dangling.mp4").symlink_to("nowhere.mp4")
    (folder / "ds" / "ann" / "gone.mp4.json").write_text("{}")
    done = call("annotate", folder, "-o", tmp_path / "out", *STREETS)
    assert done.returncode == 3
    assert "1 of 4 videos annotated" in done.stderr
    left_out = {"folder.mp4": "no file", "dangling.mp4": "missing", "gone.mp4": "missing"}
    for name, reason in left_out.items():
        assert f"left out: ds/{name}: {videos / name}: {reason}" in done.stderr


@pytest.mark.parametrize("name", ["..", ".", "", "a/../..", "/tmp", "linked"])
def test_a_manifest_of_somebody_else_removes_nothing_outside(
    name: str, project: Path, tmp_path: Path
) -> None:
    out = tmp_path / "near" / "out"
    outside = tmp_path / "near" / "img" / "1.png"
    for path in (outside, tmp_path / "near" / "ann" / "1.png.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    out.mkdir()
    (out / "linked").symlink_to(tmp_path / "near")
    (out / "run.json").write_text(json.dumps({"command": "annotate", "datasets": [name]}))
    done = call("annotate", project, "-o", out, *STREETS, "--overwrite")
    assert done.returncode == 2
    assert f"names {name!r}, which is not a dataset in it" in done.stderr
    assert outside.exists()
    assert (out / "run.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "-o", "{out}"], "nowhere: neither a folder nor a video file"),
        (["{project}", "-o", "{project}"], "lies inside .* or around it"),
        (["{project}", "-o", "{project}/a/new"], "lies inside .* or around it"),
        (["{project}", "-o", "{out}", "-c", "annotate_roy"], "presets are annotate_full_image"),
        (["{project}", "-o", "{out}", "-c", "dashcam"], "a preset for icstream run"),
        (["{project}", "-o", "{file}"], "is a file, but a folder is needed"),
        (["{project}", "-o", "{busy}", "--overwrite"], "other files than an annotated project"),
        (["{project}", "-o", "{out}", "--resume", "--overwrite"], "contradict"),
        (["{empty}", "-o", "{out}"], "meta.json: missing"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    project: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    places = {name: tmp_path / name for name in ("out", "file", "busy", "empty")}
    places["file"].touch()
    places["empty"].mkdir()
    places["busy"].mkdir()
    (places["busy"] / "mine.txt").touch()
    given = (text.format(project=project, **places) for text in arguments)
    done = call("annotate", *given, *STREETS)
    assert done.returncode == 2
    assert re.search(words, error_line(done, after_log=True))
    assert (places["busy"] / "mine.txt").exists()
