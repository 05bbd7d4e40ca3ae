"""Folders of images, label images and lists."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from icstream.model import CAMVID, ConfigError
from icstream.stages.data import VOID, SampleError, open_labeled_folder
from support.projects import make_folder

IDS = np.array([[0, 5, 10], [11, 255, 3]], np.uint8)


def test_lists_make_the_splits_and_11_is_void_in_camvid(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"b": IDS, "a.x": IDS}, "val": {"deep/c": IDS}}, suffix=".JPG")
    data = open_labeled_folder(tmp_path)
    assert data.labels is CAMVID
    assert data.format == "folder"
    found = {split: [s.name for s in samples] for split, samples in data.splits.items()}
    assert found == {"train": ["b", "a.x"], "val": ["deep/c"]}
    image = data.split("val")[0].load()
    assert image.ids_HW.tolist() == [[0, 5, 10], [VOID, VOID, 3]]
    assert image.ids_HW.dtype == np.uint8
    assert image.rgb_HW3.shape == (2, 3, 3)
    with pytest.raises(ConfigError, match="'test'"):
        data.split("test")


def test_camvid_itself_is_read_with_every_pixel(data_dir: Path) -> None:
    data = open_labeled_folder(data_dir / "camvid")
    assert {split: len(samples) for split, samples in data.splits.items()} == {
        "train": 367,
        "val": 101,
    }
    sample = data.split("val")[3]
    truth = np.array(Image.open(data_dir / "camvid" / "labels" / f"{sample.name}.png"))
    truth[truth == 11] = VOID
    assert (sample.load().ids_HW == truth).all()


def test_classes_json_names_the_classes(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 255]], np.uint8)
    make_folder(tmp_path, {"train": {"a": ids}})
    (tmp_path / "classes.json").write_text('[["off", [0, 0, 0]], ["on", [9, 8, 7]]]')
    data = open_labeled_folder(tmp_path)
    assert data.labels.names == ("off", "on")
    assert data.labels.colors[1] == (9, 8, 7)
    assert (data.split("train")[0].load().ids_HW == ids).all()


def test_indexed_labels_count_by_index(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"a": IDS}})
    indexed = Image.fromarray(IDS)
    indexed.putpalette([value for k in range(256) for value in (255 - k, 0, 0)])
    indexed.save(tmp_path / "labels" / "a.png")
    with Image.open(tmp_path / "labels" / "a.png") as image:
        assert image.mode == "P"
    ids = open_labeled_folder(tmp_path).split("train")[0].load().ids_HW
    assert ids[0].tolist() == [0, 5, 10]


def test_an_id_that_is_no_class_is_named_with_its_file(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"a": np.array([[0, 2, 7, 7]], np.uint8)}})
    (tmp_path / "classes.json").write_text('[["off", [0, 0, 0]], ["on", [9, 8, 7]]]')
    with pytest.raises(SampleError, match=r"labels/a\.png: id 2, 7 belongs to no class"):
        open_labeled_folder(tmp_path).split("train")[0].load()


def test_labels_that_are_not_camvids_need_names_for_their_classes(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"a": np.array([[0, 12]], np.uint8)}})
    with pytest.raises(ConfigError, match=r"a\.png: id 12 is not one of CamVid's.*classes\.json"):
        open_labeled_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{}", "Expected `array`"), ('[["a", [0, 0, 256]]]', "255"), ('[["a", [0, 0, 0]]]', "2 to")],
)
def test_a_faulty_classes_json_is_refused(tmp_path: Path, content: str, message: str) -> None:
    make_folder(tmp_path, {"train": {"a": IDS}})
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(ConfigError, match=rf"classes\.json: .*{message}"):
        open_labeled_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a\na\n", "'a' is listed twice"), ("../a\n", "outside"), ("/a\n", "outside")],
)
def test_a_faulty_list_is_refused(tmp_path: Path, content: str, message: str) -> None:
    make_folder(tmp_path, {"train": {"a": IDS}})
    (tmp_path / "train.txt").write_text(content)
    with pytest.raises(ConfigError, match=rf"train\.txt: .*{message}"):
        open_labeled_folder(tmp_path)


def test_two_images_of_one_name_and_no_list_at_all_are_refused(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"a": IDS}})
    Image.new("RGB", (3, 2)).save(tmp_path / "images" / "a.jpg")
    with pytest.raises(ConfigError, match=r"a\.png: a\.jpg has the same name"):
        open_labeled_folder(tmp_path)
    (tmp_path / "train.txt").unlink()
    with pytest.raises(ConfigError, match="no list of names"):
        open_labeled_folder(tmp_path)


def test_faulty_files_are_named(tmp_path: Path) -> None:
    many = {name: IDS for name in ("good", "image", "label", "size", "kind", "cut")}
    make_folder(tmp_path, {"train": many})
    (tmp_path / "images" / "image.png").unlink()
    (tmp_path / "labels" / "label.png").unlink()
    Image.new("L", (4, 2)).save(tmp_path / "labels" / "size.png")
    Image.new("RGB", (3, 2)).save(tmp_path / "labels" / "kind.png")
    cut = tmp_path / "labels" / "cut.png"
    cut.write_bytes(cut.read_bytes()[:45])
    texts = {}
    for sample in open_labeled_folder(tmp_path).split("train")[1:]:
        with pytest.raises(SampleError) as caught:
            sample.load()
        texts[sample.name] = str(caught.value).removeprefix(f"{tmp_path}/")
    assert texts == {
        "image": "images/image.*: missing",
        "label": "labels/label.png: missing",
        "size": "labels/size.png: is 4x2, its image 3x2",
        "kind": "labels/kind.png: neither 8-bit gray nor indexed, as labels must be",
        "cut": "labels/cut.png: the image is damaged or cut off (image file is truncated)",
    }


def test_samples_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"a": IDS}})
    sample = open_labeled_folder(tmp_path).split("train")[0]
    again = pickle.loads(pickle.dumps(sample))
    assert again == sample
    assert (again.load().ids_HW == sample.load().ids_HW).all()


def test_lists_may_name_images_with_their_suffix(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"a": IDS, "b.png": IDS, "c": IDS}})
    (tmp_path / "train.txt").write_text("a.png\nb.png\nc.jpg\nd.png\n")
    samples = open_labeled_folder(tmp_path).split("train")
    # There is an image b.png.png, so "b.png" is a name without suffix; d is nowhere.
    assert [sample.name for sample in samples] == ["a", "b.png", "c", "d"]
    assert all(sample.load().ids_HW.shape == (2, 3) for sample in samples[:3])
    with pytest.raises(SampleError, match=r"images/d\.\*: missing"):
        samples[3].load()
    (tmp_path / "train.txt").write_text("a.png\na\n")
    with pytest.raises(ConfigError, match=r"train\.txt: 'a' is listed twice"):
        open_labeled_folder(tmp_path)


def test_links_to_folders_are_followed_and_may_lead_back(tmp_path: Path) -> None:
    elsewhere = make_folder(tmp_path / "elsewhere", {"train": {"a": IDS}})
    folder = make_folder(tmp_path / "data", {"train": {"b": IDS}})
    for part in ("images", "labels"):
        (folder / part / "drive_1").symlink_to(elsewhere / part)
        (folder / part / "back").symlink_to(folder / part)
    (folder / "train.txt").write_text("b\ndrive_1/a\nback/drive_1/a\n")
    samples = open_labeled_folder(folder).split("train")
    assert [sample.load().ids_HW.shape for sample in samples] == [(2, 3)] * 3
