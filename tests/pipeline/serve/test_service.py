"""Images in and masks out, over HTTP, from a real server."""

import io
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from icstream.model import CAMVID
from support.images import FORMATS, encode, make_image
from support.runs import run_pipeline
from support.servers import Server
from support.stand_in import mask_of

SUPERVISELY = "application/vnd.icstream.supervisely+json"
SIZE = (48, 64)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an image of each kind, one of them lying on its side."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(5)
    for kind in FORMATS:
        (folder / f"{kind}.{kind.lower()}").write_bytes(encode(make_image(rng, *SIZE), kind))
    (folder / "turned.jpg").write_bytes(encode(make_image(rng, *SIZE), "JPEG", orientation=6))
    return folder


@pytest.fixture(scope="module")
def offline(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.uint8]]:
    """Return what a run makes of them, by the stem of their names."""
    out = tmp_path_factory.mktemp("run")
    result = run_pipeline(images, out, sinks=["png"], model__threads=1)
    assert result.exit_code == 0
    masks = (out / images.name / "masks").glob("*.png")
    return {path.stem: np.array(Image.open(path)) for path in masks}


def read_png(data: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(data)))


def problem(server: Server, *arguments: Any, **options: Any) -> dict[str, Any]:
    reply = server.ask(*arguments, **options)
    assert reply.headers["Content-Type"] == "application/problem+json"
    values: dict[str, Any] = reply.json()
    assert set(values) == {"type", "title", "status", "detail", "kind"}
    assert values["status"] == reply.status
    return values


@pytest.mark.slow
@pytest.mark.parametrize("stem", [*FORMATS, "turned"])
def test_gives_the_mask_that_a_run_makes_of_the_same_file(
    stem: str, server: Server, images: Path, offline: dict[str, NDArray[np.uint8]]
) -> None:
    (path,) = images.glob(f"{stem}.*")
    reply = server.ask("/segment", path.read_bytes())
    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/png")
    mask = Image.open(io.BytesIO(reply.data))
    assert mask.mode == "P"
    assert mask.getpalette()[: 3 * len(CAMVID)] == CAMVID.palette()[: len(CAMVID)].ravel().tolist()  # type: ignore[index]
    np.testing.assert_array_equal(np.array(mask), offline[stem])
    assert len(np.unique(offline[stem])) > 1


def test_a_image_may_come_as_part_of_a_form(server: Server, images: Path) -> None:
    data = (images / "PNG.png").read_bytes()
    as_form = server.ask("/segment", fields={"image": ("a.png", data, "image/png")})
    assert as_form.data == server.ask("/segment", data).data


def test_the_answer_has_the_share_of_each_class_and_the_durations(
    server: Server, images: Path, offline: dict[str, NDArray[np.uint8]]
) -> None:
    reply = server.ask("/segment", (images / "BMP.bmp").read_bytes())
    shares = re.findall(r"c(\d+)=([\d.]+)", reply.headers["Class-Shares"])
    counts = np.bincount(offline["BMP"].ravel())
    expected = {k: counts[k] / counts.sum() for k in np.flatnonzero(counts)}
    assert {int(k): float(share) for k, share in shares} == pytest.approx(expected, abs=1e-6)
    stages = re.findall(r"(\w+);dur=[\d.]+", reply.headers["Server-Timing"])
    assert stages == ["wait", "unpack", "network", "encode"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under numpy 2
def test_run_lengths_are_those_of_the_mask(
    server: Server, images: Path, offline: dict[str, NDArray[np.uint8]]
) -> None:
    data = (images / "WEBP.webp").read_bytes()
    values = server.ask("/segment", data, headers={"Accept": "application/json"}).json()
    height, width = values["size"]
    ids = np.full((height, width), 255, np.uint8)
    for entry in values["classes"]:
        assert entry["name"] == CAMVID.names[entry["id"]]
        mask = coco_mask.decode({"size": [height, width], "counts": entry["counts"].encode()})
        ids[mask > 0] = entry["id"]
    np.testing.assert_array_equal(ids, offline["WEBP"])


def test_an_annotation_has_an_object_for_each_class(
    server: Server, images: Path, offline: dict[str, NDArray[np.uint8]]
) -> None:
    data = (images / "PNG.png").read_bytes()
    reply = server.ask("/segment", data, headers={"Accept": SUPERVISELY})
    assert reply.headers["Content-Type"] == SUPERVISELY
    annotation = reply.json()
    assert annotation["size"] == {"height": SIZE[0], "width": SIZE[1]}
    ids = np.full(SIZE, 255, np.uint8)
    for entry in annotation["objects"]:
        ids[mask_of(entry, SIZE)] = CAMVID.names.index(entry["classTitle"])
    np.testing.assert_array_equal(ids, offline["PNG"])


def test_an_overlay_is_half_image_and_half_color(
    server: Server, images: Path, offline: dict[str, NDArray[np.uint8]]
) -> None:
    data = (images / "PNG.png").read_bytes()
    reply = server.ask("/segment", data, headers={"Accept": "image/jpeg"})
    assert reply.headers["Content-Type"] == "image/jpeg"
    overlay = np.array(Image.open(io.BytesIO(reply.data)), np.float64)
    colors = CAMVID.palette()[offline["PNG"]].astype(np.float64)
    expected = (np.array(Image.open(io.BytesIO(data)), np.float64) + colors) / 2
    assert np.abs(cv2.blur(overlay, (5, 5)) - cv2.blur(expected, (5, 5))).mean() < 8


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "image/png"),
        ("image/*;q=0.5, application/json", "application/json"),
        ("image/jpeg, image/png;q=0.9", "image/jpeg"),
        ("image/*, image/png;q=0", "image/jpeg"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "image/png"),
    ],
)
def test_chooses_the_form_that_the_client_likes_best(
    accept: str, expected: str, server: Server, images: Path
) -> None:
    data = (images / "PNG.png").read_bytes()
    reply = server.ask("/segment", data, headers={"Accept": accept})
    assert reply.headers["Content-Type"] == expected


def test_refuses_forms_that_it_does_not_have(server: Server, images: Path) -> None:
    data = (images / "PNG.png").read_bytes()
    values = problem(server, "/segment", data, headers={"Accept": "text/html"})
    assert (values["status"], values["kind"]) == (406, "not_acceptable")


def test_lists_models_with_their_classes(server: Server) -> None:
    values = server.ask("/models").json()
    assert values["default"] == "streets"
    classes = values["models"]["streets"]["classes"]
    assert [entry["name"] for entry in classes] == list(CAMVID.names)
    assert classes[3]["colour"] == "#{:02x}{:02x}{:02x}".format(*CAMVID.colors[3])


def test_models_that_are_not_there_are_named(server: Server, images: Path) -> None:
    values = problem(server, "/segment?model=street", (images / "PNG.png").read_bytes())
    assert values["status"] == 404
    assert values["detail"] == "model 'street': does not exist; available are streets"


@pytest.mark.parametrize(
    ("arguments", "options", "status"),
    [
        (("/nothing",), {}, 404),
        (("/segment",), {}, 405),
        (("/segment",), {"fields": {"photo": b"x"}}, 400),
        (("/segment", b"\x1f\x8b"), {"headers": {"Content-Encoding": "gzip"}}, 415),
        (("/segment", b"--x"), {"headers": {"Content-Type": "multipart/form-data"}}, 400),
        (
            ("/segment", b"--x\r\nrubbish"),
            {"headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
        ),
    ],
)
def test_every_error_is_a_problem_that_programs_can_read(
    arguments: tuple[Any, ...], options: dict[str, Any], status: int, server: Server
) -> None:
    assert problem(server, *arguments, **options)["status"] == status


def test_the_page_and_the_documentation_need_nothing_from_elsewhere(server: Server) -> None:
    for path in ("/", "/docs"):
        page = server.ask(path).data.decode()
        for place in re.findall(r"""(?:src|href)=["']([^"']+)""", page):
            assert "//" not in place
            assert server.ask("/" + place.lstrip("/")).status == 200


def test_the_description_names_every_route(server: Server) -> None:
    described = server.ask("/openapi.json").json()
    assert {
        "/segment",
        "/models",
        "/metrics",
        "/model/inference",
        "/model/get_out_meta",
        "/v2/models/{name}/infer",
    } <= set(described["paths"])
    accepted = described["paths"]["/segment"]["post"]["responses"]["200"]["content"]
    assert set(accepted) == {"image/png", "image/jpeg", "application/json", SUPERVISELY}


def test_counts_what_it_does(server: Server, images: Path) -> None:
    def count() -> float:
        text = server.ask("/metrics").data.decode()
        found = re.search(
            r'^icstream_http_requests_total\{method="POST",path="/segment",status="200"\} (\S+)',
            text,
            re.MULTILINE,
        )
        return float(found[1]) if found else 0.0

    before = count()
    server.ask("/segment", (images / "PNG.png").read_bytes())
    assert count() == before + 1


def test_answers_have_security_headers(server: Server) -> None:
    reply = server.ask("/")
    assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert json.loads(server.ask("/openapi.json").data)["info"]["title"] == "icstream"
