"""Supervisely image projects: classes, splits, painting order, faults."""

import json
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from icstream.model import ConfigError
from icstream.stages.data import VOID, LabeledData, SampleError, open_supervisely_project
from support.projects import Project, bitmap, outline, packed, thing

CLASSES = {"tree": "any", "neutral": "any", "Car": "rectangle", "road": "polygon"}
ALL = outline([[0, 0], [7, 5]])


def names(data: LabeledData, split: str) -> list[str]:
    return [sample.name for sample in data.splits[split]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project", CLASSES)
    project.add("a.png", tags=[{"name": "train"}], objects=[thing("Car", ALL)])
    project.add("b.png", tags=[{"name": "val"}], objects=[thing("Car", ALL)])
    return project


def test_every_image_is_labeled_as_the_official_sdk_paints_it(data_dir: Path) -> None:
    # camvid_sly_small_expected holds what the SDK painted; there, 12 is neutral.
    data = open_supervisely_project(data_dir / "camvid_sly_small")
    expected = data_dir / "camvid_sly_small_expected"
    manifest = json.loads((expected / "manifest.json").read_text())
    index = {name: k for name, k in manifest["index"].items() if name != "neutral"}
    assert {name: k for k, name in enumerate(data.labels.names)} == index
    wanted = {f"{entry['dataset']}/{entry['image']}": entry["tag"] for entry in manifest["images"]}
    found = {sample.name: split for split in data.splits for sample in data.splits[split]}
    assert found == wanted
    assert len(found) == 32
    for split in ("train", "val"):
        for sample in data.split(split):
            truth = np.array(Image.open(expected / sample.name))
            truth[truth == manifest["index"]["neutral"]] = VOID
            assert (sample.load().ids_HW == truth).all(), sample.name


def test_classes_are_numbered_in_plain_string_order_behind_the_background(
    project: Project,
) -> None:
    data = open_supervisely_project(project.folder)
    assert data.labels.names == ("background", "Car", "road", "tree")
    assert data.labels.colors == ((0, 0, 0), (3, 20, 255), (4, 30, 255), (1, 0, 255))
    assert (data.format, data.origin) == ("supervisely", str(project.folder))


def test_a_class_called_background_keeps_its_name(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", {"background": "any", "unlabelled": "any"})
    project.add("a.png", tags=["train"], objects=[thing("background", ALL, "rectangle")])
    data = open_supervisely_project(project.folder)
    assert data.labels.names == ("unlabelled 2", "background", "unlabelled")
    assert (data.split("train")[0].load().ids_HW == 1).all()


def test_another_class_may_be_neutral(project: Project) -> None:
    data = open_supervisely_project(project.folder, neutral="Car")
    assert data.labels.names == ("background", "neutral", "road", "tree")
    assert (data.split("train")[0].load().ids_HW == VOID).all()
    assert open_supervisely_project(project.folder, neutral="none").labels.names[2] == "neutral"


def test_ids_that_are_given_replace_the_order(project: Project) -> None:
    ids = {"Car": 3, "road": 1, "tree": 2}
    data = open_supervisely_project(project.folder, class_ids=ids)
    assert data.labels.names == ("background", "road", "tree", "Car")
    assert data.labels.colors[3] == (3, 20, 255)
    assert (data.split("train")[0].load().ids_HW == 3).all()
    data = open_supervisely_project(project.folder, class_ids={"nothing": 0, **ids})
    assert data.labels.names == ("nothing", "road", "tree", "Car")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"Car": 1, "road": 2}, "'tree' of the project is not among"),
        ({"Car": 1, "road": 2, "tree": 3, "bus": 4}, "the project has no class 'bus'"),
        ({"Car": 1, "road": 2, "tree": 2}, "must be 1 to 3"),
        ({"Car": 0, "road": 1, "tree": 2}, "must be 1 to 3"),
        ({"Car": 1, "road": 2, "tree": 4}, "must be 1 to 3"),
    ],
)
def test_ids_that_do_not_fit_the_project_are_refused(
    project: Project, ids: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_supervisely_project(project.folder, class_ids=ids)


def test_splits_go_by_the_names_of_image_tags(project: Project) -> None:
    car = [thing("Car", ALL) | {"tags": [{"name": "train"}]}]
    project.add("both.png", tags=[{"name": "val", "value": 3}, {"name": "train"}], objects=car)
    project.add("none.png", tags=[{"name": "Train"}], objects=car)
    project.add("old.png", tags=["train"], objects=car)
    data = open_supervisely_project(project.folder)
    assert names(data, "train") == ["ds/a.png", "ds/both.png", "ds/old.png"]
    assert names(data, "val") == ["ds/b.png", "ds/both.png"]
    other = open_supervisely_project(project.folder, train_tag="Train", val_tag="val")
    assert names(other, "train") == ["ds/none.png"]
    same = open_supervisely_project(project.folder, val_tag="train")
    assert names(same, "train") == names(same, "val") == names(data, "train")


def test_datasets_may_lie_in_datasets(project: Project) -> None:
    for dataset in ("ds/datasets/deep", "group/datasets/inner", "b"):
        project.add("x.png", tags=["train"], objects=[thing("Car", ALL)], dataset=dataset)
    found = names(open_supervisely_project(project.folder), "train")
    assert found == ["b/x.png", "ds/a.png", "ds/deep/x.png", "group/inner/x.png"]


@pytest.mark.parametrize(
    "name", ["x.jpg", "x.JPEG", "x.bmp", "x.webp", "x.tiff", "x.tif", "x.png", "x.mpo"]
)
@pytest.mark.parametrize("old", [False, True])
def test_images_and_annotations_go_by_these_names(project: Project, name: str, old: bool) -> None:
    annotation = f"{Path(name).stem}.json" if old else None
    project.add(name, tags=["train"], objects=[thing("Car", ALL)], annotation=annotation)
    (project.folder / "ds" / "img" / "notes.txt").write_text("no image")
    data = open_supervisely_project(project.folder)
    assert data.corrupted == ()
    image = next(s for s in data.split("train") if s.name == f"ds/{name}").load()
    assert np.abs(image.rgb_HW3.astype(int) - (200, 100, 50)).max() < 12, "RGB, about"
    assert (image.ids_HW == 1).all()


def test_later_objects_paint_over_earlier_ones_and_neutral_is_one_of_them(
    project: Project,
) -> None:
    def box(title: str, left: int, right: int) -> dict[str, object]:
        return thing(title, outline([[left, 0], [right, 5]]), "rectangle")

    objects = [box("neutral", 0, 3), box("Car", 2, 5), box("tree", 5, 7), box("neutral", 6, 6)]
    project.add("x.png", tags=["train"], objects=objects)
    sample = open_supervisely_project(project.folder).split("train")[1]
    V = VOID
    assert sample.load().ids_HW.tolist() == [[V, V, 1, 1, 1, 3, V, 3]] * 6


def test_pixels_without_an_object_are_background(project: Project) -> None:
    mask = packed(np.ones((1, 1), np.uint8))
    project.add("x.png", tags=["train"], objects=[thing("tree", bitmap([2, 1], mask), "bitmap")])
    ids = open_supervisely_project(project.folder).split("train")[1].load().ids_HW
    assert ids[1, 2] == 3
    assert (ids == 0).sum() == ids.size - 1


def test_the_canvas_is_as_large_as_the_turned_image(project: Project) -> None:
    image, _ = project.add("x.jpg", tags=["train"], objects=[thing("Car", ALL)], size=(6, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by a quarter
    Image.new("RGB", (8, 6)).save(image, exif=exif)
    loaded = open_supervisely_project(project.folder).split("train")[1].load()
    assert loaded.ids_HW.shape == (8, 6)
    assert (loaded.ids_HW[:6] == 1).all()
    assert (loaded.ids_HW[6:] == 0).all()


def test_samples_can_be_sent_to_other_processes(project: Project) -> None:
    sample = open_supervisely_project(project.folder).split("train")[0]
    again = pickle.loads(pickle.dumps(sample))
    assert again == sample
    assert (again.load().ids_HW == sample.load().ids_HW).all()


def test_a_split_without_images_or_objects_is_refused_when_it_is_used(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path / "p", CLASSES)
    project.add("a.png", tags=["train"])
    data = open_supervisely_project(project.folder)
    with pytest.raises(ConfigError, match="no objects on the images tagged 'train'"):
        data.split("train")
    with pytest.raises(ConfigError, match="no image is tagged 'val'"):
        data.split("val")


def test_a_project_without_any_of_the_tags_is_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match="none of 2 images is tagged 'x' or 'y'"):
        open_supervisely_project(project.folder, train_tag="x", val_tag="y")


def test_an_empty_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty"):
        open_supervisely_project(Project(tmp_path / "p", CLASSES).folder)


META = [
    ("{", "not JSON"),
    ("[]", "Expected `object`"),
    ('{"classes": [{"title": "a", "shape": "any", "color": "red"}]}', "color|classes"),
    ('{"classes": [{"title": "neutral", "shape": "any", "color": "#000000"}]}', "no classes but"),
    ('{"classes": [], "projectType": "videos"}', "only image projects"),
    (
        json.dumps({"classes": [{"title": "a", "shape": "any", "color": "#000000"}] * 2}),
        "'a' is listed twice",
    ),
]


@pytest.mark.parametrize(("content", "message"), META)
def test_a_faulty_meta_is_refused_by_name(project: Project, content: str, message: str) -> None:
    (project.folder / "meta.json").write_text(content)
    with pytest.raises(ConfigError, match=rf"meta\.json: .*({message})"):
        open_supervisely_project(project.folder)


def test_a_missing_meta_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"meta\.json: missing"):
        open_supervisely_project(tmp_path)


def test_files_without_readable_tags_are_listed_and_the_rest_is_read(project: Project) -> None:
    contents = [b"{", b"", b"\xff\xfe", b"[]", b'{"tags": []}', b'{"tags": 1, "objects": []}']
    contents.append(b"[" * 200_000)
    for number, content in enumerate(contents):
        _, annotation = project.add(f"x{number}.png", tags=["train"])
        annotation.write_bytes(content)
    _, annotation = project.add("y.png")
    annotation.unlink()
    data = open_supervisely_project(project.folder)
    assert names(data, "train") == ["ds/a.png"]
    assert len(data.corrupted) == len(contents) + 1
    for number, line in enumerate(data.corrupted[:-1]):
        assert line.startswith(str(project.folder / "ds" / "ann" / f"x{number}.png.json: "))
        assert "\n" not in line
    assert data.corrupted[-1].endswith("y.png: has no annotation")


def test_two_images_of_one_stem_do_not_share_an_old_annotation(project: Project) -> None:
    project.add("x.png", tags=["train"], annotation="x.json")
    project.add("x.bmp", tags=["train"], annotation="x.json")
    data = open_supervisely_project(project.folder)
    assert [line.partition(": ")[0][-5:] for line in data.corrupted] == ["x.bmp", "x.png"]


def faulty_sample(project: Project, *, objects: list[object]) -> str:
    project.add("x.png", tags=["train"], objects=objects)
    return fault(project)


def fault(project: Project) -> str:
    sample = open_supervisely_project(project.folder).split("train")[1]
    with pytest.raises(SampleError) as caught:
        sample.load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_faulty_object_is_named_with_its_file(project: Project) -> None:
    where = str(project.folder / "ds" / "ann" / "x.png.json")
    good = thing("Car", ALL)
    text = faulty_sample(project, objects=[good, thing("bus", ALL)])
    assert text == f"{where}: object 1: meta.json has no class 'bus'"
    text = faulty_sample(
        project, objects=[good, good, thing("tree", bitmap([0, 0], "?"), "bitmap")]
    )
    assert text.startswith(f"{where}: object 2 ('tree'): 'bitmap': Invalid base64")
    text = faulty_sample(project, objects=[{"tags": []}])
    assert text.startswith(f"{where}: ")
    assert "classTitle" in text


def test_a_faulty_image_is_named(project: Project) -> None:
    image, _ = project.add("x.png", tags=["train"], objects=[thing("Car", ALL)], size=(90, 90))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    assert fault(project).startswith(f"{image}: the image is ")
    image.write_bytes(b"hello")
    assert fault(project).startswith(f"{image}: no image in one of the formats AVIF, ")
    huge = bytearray(whole)
    huge[16:24] = (9_000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    image.write_bytes(huge)
    assert "9000x9000 pixels are more" in fault(project)
    image.unlink()
    assert fault(project) == f"{image}: missing"


def test_a_jpeg_that_is_cut_off_is_corrupted(project: Project) -> None:
    image, _ = project.add("x.jpg", tags=["train"], objects=[thing("Car", ALL)], size=(90, 90))
    noise = np.random.default_rng(1).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(image)
    cut = image.read_bytes()[:-400]
    for content in (cut, cut + b"\xff\xd9", cut + bytes(400)):
        image.write_bytes(content)
        assert fault(project).startswith(f"{image}: the image is damaged or cut off (")


def test_annotations_are_read_as_python_and_the_official_sdk_write_and_read_them(
    project: Project,
) -> None:
    """`base64.encodebytes` breaks lines, `json.dumps` writes NaN, Windows puts a mark in front."""
    data = packed(np.full((3, 4), 255, np.uint8))
    broken = "\n".join(data[k : k + 20] for k in range(0, len(data), 20)) + "\n"
    tags = [{"name": "train"}, {"name": "speed", "value": float("nan")}]
    _, path = project.add(
        "n.png", tags=tags, objects=[thing("tree", bitmap((1, 2), broken), "bitmap")]
    )
    assert "NaN" in path.read_text()
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text(path.read_text(), encoding=encoding)
        meta = project.folder / "meta.json"
        meta.write_text(meta.read_text(), encoding=encoding)
        opened = open_supervisely_project(project.folder)
        assert opened.corrupted == ()
        ids_HW = opened.splits["train"][1].load().ids_HW
        assert (ids_HW > 0).sum() == 12
        path.write_text(path.read_bytes().decode(encoding))
        meta.write_text(meta.read_bytes().decode(encoding))


def test_a_coordinate_that_is_no_number_is_damage(project: Project) -> None:
    project.add(
        "n.png", tags=["train"], objects=[thing("Car", outline([[0, float("nan")], [3, 3]]))]
    )
    sample = open_supervisely_project(project.folder).splits["train"][1]
    with pytest.raises(SampleError, match="Expected `float`, got `null`"):
        sample.load()


@pytest.mark.parametrize("shape", ["alpha_mask", "oriented_bbox", "multipolygon"])
def test_an_object_of_an_unknown_shape_costs_itself_alone_and_is_counted(
    shape: str, tmp_path: Path
) -> None:
    project = Project(tmp_path / "p", {"tree": "any", "new": shape, "Car": "rectangle"})
    car = thing("Car", outline([[0, 0], [3, 2]]))
    new = [thing("tree", outline([[0, 0], [7, 5]]), shape), thing("new", {"anything": [1]}, shape)]
    project.add("a.png", tags=["train"], objects=[car, *new])
    project.add("b.png", tags=["val"], objects=new)
    data = open_supervisely_project(project.folder)
    assert data.left_out == (
        f"4 objects of shape {shape!r}, which is not supported; the first is on ds/a.png",
    )
    ids_HW = data.split("train")[0].load().ids_HW
    assert (ids_HW[:3, :4] == data.labels.names.index("Car")).all()
    assert (ids_HW > 0).sum() == 12
    with pytest.raises(ConfigError, match="there are no objects on the images tagged 'val'"):
        data.split("val")
