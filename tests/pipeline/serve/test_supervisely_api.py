"""The plugin's REST interface, against `icstream annotate` on the same image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from icstream.pipeline.offline.annotate import annotate_project
from icstream.pipeline.settings.annotate import build_annotate_config
from support.images import encode, make_image
from support.projects import Project, outline, thing
from support.servers import Server
from support.stand_in import comparable, read

pytestmark = pytest.mark.slow

SIZE = (48, 64)
CAR = thing("Car", outline([[10, 20], [40, 40]]))

MODES: dict[str, dict[str, Any]] = {
    "full": {"name": "full_image", "model_classes": {"add_suffix": "_x"}},
    "two classes": {
        "name": "full_image",
        "model_classes": {"save_classes": ["Road", "Sky"], "add_suffix": "_y"},
    },
    "roi": {
        "name": "roi",
        "bounds": {"left": "10%", "top": "5px"},
        "save": True,
        "model_classes": {"add_suffix": "_roi"},
    },
    "windows": {
        "name": "sliding_window",
        "window": {"width": 33, "height": 33},
        "min_overlap": {"x": 4, "y": 4},
        "model_classes": {"add_suffix": "_w"},
    },
    "boxes": {"name": "bboxes", "save": True, "model_classes": {"add_suffix": "_b"}},
    "scores": {
        "name": "full_image",
        "save_probabilities": True,
        "model_classes": {"save_classes": ["Road"], "add_suffix": "_s"},
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Project(tmp_path_factory.mktemp("in") / "one", {"Car": "rectangle"})
    image, _ = made.add("a.png", objects=[CAR], size=SIZE)
    image.write_bytes(encode(make_image(np.random.default_rng(8), *SIZE), "PNG"))
    return made.folder


def parts(project: Path) -> dict[str, Any]:
    """Return image, annotation and meta as files of a form."""
    dataset = project / "ds"
    annotation = (dataset / "ann" / "a.png.json").read_bytes()
    return {
        "image": ("a.png", (dataset / "img" / "a.png").read_bytes(), "image/png"),
        "annotation": ("a.json", annotation, "application/json"),
        "meta": ("meta.json", (project / "meta.json").read_bytes(), "application/json"),
    }


def assert_equal(got: dict[str, Any], expected: dict[str, Any]) -> None:
    objects = [[comparable(entry) for entry in values.pop("objects")] for values in (got, expected)]
    assert objects[0] == objects[1]
    assert got == expected


@pytest.mark.parametrize("name", MODES)
def test_an_annotation_is_that_of_annotate(
    name: str, server: Server, project: Path, tmp_path: Path
) -> None:
    config = build_annotate_config({"model": {}, "mode": MODES[name]}, origin=None)
    outcome = annotate_project(
        config, project, tmp_path / "out", weights="streets", device="cpu", threads=1
    )
    assert outcome.exit_code() == 0
    mode = json.dumps(MODES[name]).encode()
    reply = server.ask("/model/inference", fields=parts(project) | {"mode": ("mode.json", mode)})
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert_equal(reply.json(), read(tmp_path / "out" / "ds" / "ann" / "a.png.json"))
    meta = server.ask(
        "/model/get_out_meta",
        fields={"meta": (project / "meta.json").read_text(), "mode": mode.decode()},
    )
    assert meta.json() == read(tmp_path / "out" / "meta.json")


def test_a_mode_may_be_a_field_or_a_file(server: Server, project: Path) -> None:
    mode = json.dumps(MODES["two classes"])
    image = {"image": parts(project)["image"]}
    as_field = server.ask("/model/inference", fields=image | {"mode": mode}).json()
    as_file = server.ask("/model/inference", fields=image | {"mode": ("m.json", mode)}).json()
    assert as_field == as_file
    titles = {entry["classTitle"] for entry in as_field["objects"]}
    assert titles <= {"Road_y", "Sky_y"}


def test_without_a_mode_the_whole_image_is_segmented_with_the_services_own_suffix(
    server: Server, project: Path
) -> None:
    values = server.ask("/model/inference", fields={"image": parts(project)["image"]}).json()
    assert values["size"] == {"height": SIZE[0], "width": SIZE[1]}
    assert values["objects"]
    assert all(entry["classTitle"].endswith("_model") for entry in values["objects"])


def test_objects_that_are_there_are_kept(server: Server, project: Path) -> None:
    values = server.ask("/model/inference", fields=parts(project)).json()
    assert values["objects"][0]["classTitle"] == "Car"
    assert len(values["objects"]) > 1


def test_the_meta_without_any_input_has_all_classes_of_the_model(server: Server) -> None:
    for options in (
        {"fields": {"mode": ""}},
        {"body": b""},
        {"body": b"{}", "headers": {"Content-Type": "application/json"}},
        {"body": b"mode=", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ):
        meta = server.ask("/model/get_out_meta", **options).json()
        assert [entry["title"] for entry in meta["classes"]][3] == "Road_model"
        assert {entry["shape"] for entry in meta["classes"]} == {"bitmap"}
        assert meta["tags"] == []


def test_json_may_hold_texts_or_values(server: Server) -> None:
    mode = MODES["two classes"]
    for value in (mode, json.dumps(mode)):
        body = json.dumps({"mode": value}).encode()
        headers = {"Content-Type": "application/json"}
        meta = server.ask("/model/get_out_meta", body, headers=headers).json()
        assert [entry["title"] for entry in meta["classes"]] == ["Sky_y", "Road_y"]


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"image": None}, 400, "image"),
        ({"mode": "{"}, 400, "mode: not a JSON object"),
        ({"mode": "[]"}, 400, "mode: not a JSON object"),
        ({"mode": '{"name": "video"}'}, 400, "mode.name: got 'video'"),
        (
            {
                "mode": '{"name": "roi", "bounds": {"left": "90px"},'
                ' "model_classes": {"add_suffix": "_r"}}'
            },
            400,
            "nothing is left",
        ),
        ({"meta": '{"classes": 3}'}, 400, "meta.json"),
        ({"meta": None}, 422, "Car"),
        ({"annotation": '{"size": {"height": 1, "width": 1}}'}, 422, ""),
        (
            {
                "annotation": '{"size": {"height": 48, "width": 64}, "tags": [], "objects": [],'
                ' "customBigData": 3}'
            },
            422,
            "customBigData",
        ),
        (
            {
                "mode": '{"name": "sliding_window", "window": {"width": 99999999},'
                ' "model_classes": {"add_suffix": "_w"}}'
            },
            400,
            "larger than the image",
        ),
        ({"image": ("a.png", b"rubbish")}, 415, "not an image"),
    ],
)
def test_what_cannot_be_used_is_named(
    changes: dict[str, Any], status: int, says: str, server: Server, project: Path
) -> None:
    fields = {k: v for k, v in (parts(project) | changes).items() if v is not None}
    reply = server.ask("/model/inference", fields=fields)
    assert (reply.status, reply.json()["status"]) == (status, status)
    assert says in reply.json()["detail"]
