"""A folder with all that the commands in the documentation name, as small as it goes."""

import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
from PIL import Image

from icstream.model import ICNet, ICNetConfig
from icstream.stages.streets import Street
from support.clips import make_clip
from support.doc_commands import ROOT, blocks
from support.plugin_weights import plugin_state, write_model_folder
from support.projects import Project, bitmap, packed, thing

SIZE = (64, 96)
"""Height and width of frames and images."""
CAMERAS = {
    "rtsp://${CAMERA_LOGIN}@10.0.0.5/stream": "rtsp://${CAMERA_LOGIN}@127.0.0.1:{port}/cam",
    "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0": "synthetic:size=96x64,rate=5",
    "max_age_s: 0.5": "max_age_s: 30",  # so that a crowded machine gets some frames done
}
"""Cameras of the documentation, and what stands in for them: two of the same size."""
TINY_TRAINING = """
epochs: 1
batch_size: { train: 2, val: 1 }
data_workers: { train: 0, val: 0 }
input_size: { width: 97, height: 65 }
recipe: { width: 0.125 }
"""


def text_of(page: str, language: str, number: int = 0) -> str:
    """Return a block of a page, by its language and its place among those of that language."""
    return [b.text for b in blocks() if (b.page, b.language) == (page, language)][number]


def make_folder(folder: Path) -> None:
    """Put everything there."""
    drive = make_clip(folder / "drive.mp4", size=SIZE)
    for copy in ("recordings/a.mp4", "recordings/b.mp4", "other/drive.mp4", "VIDEO"):
        (folder / copy).parent.mkdir(exist_ok=True)
        shutil.copy(drive, folder / copy)
    for name in ("configs", "benchmarks", "examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    image, _ = Street(7, size=SIZE).render(0.0)
    Image.fromarray(image).save(folder / "street.jpg")
    _make_weights(folder)
    for name in ("DATA", "CAMVID"):
        _make_labeled(folder / name)
    _make_own_classes(folder / "mine")
    _make_project(folder / "PROJECT")
    (folder / "CONFIG").write_text(TINY_TRAINING)
    (folder / "mine.yaml").write_text(text_of("docs/own-classes.md", "yaml"))
    (folder / "all.yaml").write_text(text_of("docs/models.md", "yaml"))
    _make_packages(folder)


def _make_weights(folder: Path) -> None:
    shipped = ROOT / "model" / "weights"
    for name in ("own", "camvid"):  # with ranges for int8
        shutil.copy(shipped / "camvid.safetensors", folder / f"{name}.safetensors")
    shutil.copy(shipped / "streets.safetensors", folder / "FILE")
    for run in ("first", "second", "left-out", "mine"):
        for which in ("best", "last"):
            path = folder / "runs" / run / f"{which}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shipped / "streets.safetensors", path)
    state = plugin_state(ICNet(ICNetConfig(num_classes=4, width=1 / 8, variant="supervisely")))
    for name in ("SOURCE", "model"):
        write_model_folder(folder / name, state)


def _make_labeled(folder: Path) -> None:
    """Write streets with CamVid's classes, under names of CamVid's drives."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    names = [f"{drive}_{number}" for drive in ("0001TP", "0016E5") for number in range(2)]
    for seed, name in enumerate(names):
        rgb, ids = Street(seed, size=SIZE).render(0.0)
        Image.fromarray(rgb).save(folder / "images" / f"{name}.png")
        Image.fromarray(ids).save(folder / "labels" / f"{name}.png")
    (folder / "train.txt").write_text("\n".join(names[:2]))
    (folder / "val.txt").write_text("\n".join(names[2:]))


def _make_own_classes(folder: Path) -> None:
    """Write the class set of the page on own classes, and frames of it."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    names = [f"drive_{number:04}" for number in range(1, 4)]
    for name in names:
        image = np.zeros((*SIZE, 3), np.uint8)
        ids = np.zeros(SIZE, np.uint8)
        ids[: SIZE[0] // 2] = 2
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
        Image.fromarray(ids).save(folder / "labels" / f"{name}.png")
    (folder / "classes.json").write_text(text_of("docs/own-classes.md", "json"))
    (folder / "train.txt").write_text("\n".join(names[:2]))
    (folder / "val.txt").write_text(names[2])


def _make_project(folder: Path) -> None:
    project = Project(folder, {"car": "bitmap"})
    car = thing("car", bitmap((1, 1), packed(np.full((3, 4), 255, np.uint8))), "bitmap")
    for number, tag in enumerate(("train", "val")):
        project.add(f"{number}.png", tags=[{"name": tag}], objects=[car], size=SIZE)


def _make_packages(folder: Path) -> None:
    """Install the packages of the page on plug-ins into site/, as pip would."""
    site = folder / "site"
    site.mkdir()
    written = folder / "class_share"
    written.mkdir()
    (written / "pyproject.toml").write_text(text_of("docs/plugins.md", "toml"))
    (written / "class_share.py").write_text(text_of("docs/plugins.md", "python"))
    for package in (written, ROOT / "examples/road_alarm", ROOT / "examples/street_source"):
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        (module,) = package.glob("*.py")
        shutil.copy(module, site)
        info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(head)
        lines = []
        for group, entries in project["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {where}" for name, where in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def write_cameras(folder: Path, *, port: int) -> None:
    """Write the cameras.yaml of the page on cameras, with cameras that are there."""
    text = text_of("docs/live.md", "yaml")
    for documented, stand_in in CAMERAS.items():
        assert documented in text
        text = text.replace(documented, stand_in.replace("{port}", str(port)))
    (folder / "cameras.yaml").write_text(re.sub(r"(?m)\s+#.*$", "", text))
