"""Objects of Supervisely projects as pixels; the images are written out by hand."""

import base64
import json
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from icstream.model.errors import SampleError
from icstream.stages.input_files import parse_json
from icstream.stages.supervisely.annotation import LabeledObject
from support.projects import bitmap, outline, packed, thing

ROOT = Path(__file__).parents[3]
MASK = np.array([[0, 0, 0, 0], [0, 7, 7, 0], [0, 7, 0, 0]], np.uint8)


def painted(
    shape: str, geometry: dict[str, Any], size: tuple[int, int] = (6, 8)
) -> NDArray[np.uint8]:
    entry = parse_json(json.dumps(thing("a", geometry)).encode(), LabeledObject)
    canvas = np.zeros(size, np.uint8)
    entry.geometry(shape).paint(canvas, 1)
    return canvas


def drawing(canvas: NDArray[np.uint8]) -> str:
    return "\n".join("".join(".#"[value] for value in row) for row in canvas)


def image(text: str) -> str:
    return "\n".join(text.split())


BITMAP = """
........
........
...##...
...#....
........
........
"""


@pytest.mark.parametrize(
    "data",
    [
        packed(MASK),
        packed(MASK, with_zlib=False),
        packed(np.dstack([255 - MASK, MASK, MASK, MASK])),
        packed(np.dstack([MASK * 0 + 9] * 3 + [MASK])),
    ],
    ids=["one channel", "no zlib", "four channels", "alpha alone counts"],
)
def test_bitmaps_paint_their_true_pixels(data: str) -> None:
    assert drawing(painted("bitmap", bitmap([2, 1], data))) == image(BITMAP)


def test_bitmaps_are_cut_at_every_side() -> None:
    full = packed(np.ones((3, 4), np.uint8))
    left_top = "##...... ##...... ........ ........ ........ ........"
    right_bottom = "........ ........ ........ ........ ......## ......##"
    assert drawing(painted("bitmap", bitmap([-2, -1], full))) == image(left_top)
    assert drawing(painted("bitmap", bitmap([6, 4], full))) == image(right_bottom)
    for origin in ([-4, 0], [0, -3], [8, 0], [0, 6], [-90, -90], [90, 90]):
        assert not painted("bitmap", bitmap(origin, full)).any()
    larger = packed(np.ones((20, 20), np.uint8))
    assert painted("bitmap", bitmap([-5, -5], larger)).all()


# The outline belongs to a polygon, and the outline of a hole to the hole.
POLYGON = """
........
.######.
.#...##.
.#...##.
.######.
........
"""


def test_polygons_are_filled_with_their_outline_and_have_holes() -> None:
    square = [[1, 1], [6, 1], [6, 4], [1, 4]]
    hole = [[2, 2], [4, 2], [4, 3], [2, 3]]
    assert drawing(painted("polygon", outline(square, [hole]))) == image(POLYGON)


def test_holes_do_not_erase_what_was_painted_before() -> None:
    geometry = outline([[0, 0], [7, 0], [7, 5], [0, 5]], [[[2, 2], [4, 2], [4, 3], [2, 3]]])
    entry = parse_json(json.dumps(thing("a", geometry)).encode(), LabeledObject)
    canvas = np.full((6, 8), 5, np.uint8)
    entry.geometry("polygon").paint(canvas, 1)
    assert (canvas[2:4, 2:5] == 5).all()
    assert (canvas == 5).sum() == 6


def test_polygons_are_cut_at_the_sides() -> None:
    around = [[-9, -9], [20, -9], [20, 20], [-9, 20]]
    assert painted("polygon", outline(around)).all()
    hole = [[-5, 2], [3, 2], [3, 30], [-5, 30]]
    expected = np.ones((6, 8), np.uint8)
    expected[2:, :4] = 0
    assert (painted("polygon", outline(around, [hole])) == expected).all()
    assert not painted("polygon", outline([[9, 9], [12, 9], [12, 12]], [hole])).any()


def test_a_polygon_of_one_or_two_points_is_a_dot_or_a_line() -> None:
    assert painted("polygon", outline([[3, 2]])).sum() == 1
    assert painted("polygon", outline([[1, 2], [4, 2]])).sum() == 4


@pytest.mark.parametrize(
    "corners", [[[2, 1], [4, 3]], [[4, 3], [2, 1]], [[4, 1], [2, 3]], [[2, 3], [4, 1]]]
)
def test_rectangles_hold_both_corners_in_any_order(corners: list[list[int]]) -> None:
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:5] = 1
    assert (painted("rectangle", outline(corners)) == expected).all()


def test_rectangles_are_cut_at_the_sides() -> None:
    expected = np.zeros((6, 8), np.uint8)
    expected[4:, :3] = 1
    assert (painted("rectangle", outline([[-5, 4], [2, 60]])) == expected).all()
    for corners in ([[-9, -9], [-1, -1]], [[8, 0], [9, 5]], [[0, 6], [7, 9]]):
        assert not painted("rectangle", outline(corners)).any()


LINE = """
........
.#......
..#.....
...#....
...#....
...#....
"""


def test_lines_are_open_and_one_pixel_wide() -> None:
    assert drawing(painted("line", outline([[1, 1], [3, 3], [3, 9]]))) == image(LINE)


def test_points_and_the_enabled_nodes_of_a_graph_are_single_pixels() -> None:
    assert np.argwhere(painted("point", outline([[5, 2]]))).tolist() == [[2, 5]]
    assert not painted("point", outline([[8, 2]])).any()
    nodes = {
        "a": {"loc": [1, 2]},
        "b": {"loc": [3, 4], "disabled": True},
        "c": {"loc": [7, 5], "disabled": False},
        "d": {"loc": [-1, 0]},
    }
    assert np.argwhere(painted("graph", {"nodes": nodes})).tolist() == [[2, 1], [5, 7]]


def test_the_faces_of_a_cuboid_are_filled() -> None:
    points = [[0, 2], [3, 2], [3, 5], [0, 5], [2, 0], [5, 0], [5, 3]]
    faces = [[0, 1, 2, 3], [1, 5, 6, 2]]
    canvas = painted("cuboid", {"points": points, "faces": faces})
    assert canvas[2:6, :4].all()
    assert canvas[0, 5] == canvas[3, 5] == canvas[1, 4] == 1
    assert not canvas[0, :5].any()


def test_fractions_are_rounded() -> None:
    assert np.argwhere(painted("point", outline([[2.6, 3.4]]))).tolist() == [[3, 3]]


def test_any_takes_the_shape_that_the_object_names() -> None:
    corners = outline([[1, 1], [3, 3]])
    by_type = painted("any", {**corners, "geometryType": "rectangle", "shape": "line"})
    assert by_type.sum() == 9
    assert painted("any", {**corners, "shape": "line"}).sum() == 3
    assert painted("line", {**corners, "geometryType": "rectangle"}).sum() == 3


BAD = [
    ("bitmap", {}, "'bitmap' is missing"),
    ("bitmap", bitmap([0, 0], "!?"), "base64"),
    ("bitmap", bitmap([0, 0], "AAAA"), "neither a PNG nor compressed"),
    ("bitmap", bitmap([0, 0], packed(MASK * 0)), "empty"),
    ("bitmap", bitmap([0, 0], packed(np.dstack([MASK] * 3))), "1 or 4 channels"),
    ("bitmap", {"bitmap": {"origin": [0, 0]}}, "data"),
    ("bitmap", bitmap([0], packed(MASK)), "length 2"),
    ("polygon", outline([]), "0 points"),
    ("polygon", {"points": {"exterior": [[1, 1]]}}, "interior"),
    ("polygon", outline([[1, 1], [2, 2], [1, 2]], [[]]), "interior"),
    ("polygon", outline([[1, 1], [2, "2"], [1, 2]]), "exterior"),
    ("polygon", outline([[1, 1], [2, 1e12], [1, 2]]), "1048576"),
    ("rectangle", outline([[1, 1]]), "1 points"),
    ("rectangle", outline([[1, 1], [2, 2], [3, 3]]), "3 points"),
    ("line", outline([[1, 1]]), "1 points"),
    ("point", outline([[1, 1], [2, 2]]), "2 points"),
    ("graph", {"nodes": {}}, "without nodes"),
    ("cuboid", {"points": [[0, 0]], "faces": [[0, 1]]}, "not among"),
    ("any", outline([[1, 1]]), "geometryType"),
    ("mask_3d", {}, "not supported"),
]


@pytest.mark.parametrize(("shape", "geometry", "message"), BAD)
def test_a_faulty_geometry_is_an_error_of_one_line(
    shape: str, geometry: dict[str, Any], message: str
) -> None:
    with pytest.raises(SampleError, match=message) as caught:
        painted(shape, geometry)
    assert "\n" not in str(caught.value)


def test_a_bitmap_that_claims_to_be_huge_is_refused_before_it_is_unpacked() -> None:
    png = bytearray(zlib.decompress(base64.b64decode(packed(MASK))))
    png[16:24] = (100_000).to_bytes(4, "big") * 2
    data = base64.b64encode(zlib.compress(bytes(png))).decode()
    with pytest.raises(SampleError, match="100000x100000 pixels are more"):
        painted("bitmap", bitmap([0, 0], data))
    bomb = base64.b64encode(zlib.compress(bytes(65 * 2**20), 9)).decode()
    with pytest.raises(SampleError, match="64 MiB"):
        painted("bitmap", bitmap([0, 0], bomb))


_SDK = """
import json, sys
import numpy as np
import supervisely as sly
meta = sly.ProjectMeta([sly.ObjClass("a", sly.AnyGeometry)])
height, width, things = json.load(open(sys.argv[1]))
masks = np.zeros((len(things), height, width), np.uint8)
for mask, thing in zip(masks, things):
    size = {"height": height, "width": width}
    ann = {"description": "", "size": size, "tags": [], "objects": [thing]}
    for label in sly.Annotation.from_json(ann, meta).labels:
        label.draw(mask, 1)
np.save(sys.argv[2], masks)
"""


def random_things(height: int, width: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(7)

    def points(count: int) -> list[list[int]]:
        return random.integers(0, (width, height), (count, 2)).tolist()  # type: ignore[no-any-return]

    things = []
    for _ in range(30):
        mask = random.integers(0, 2, (9, 13), dtype=np.uint8)
        things += [
            thing("a", outline(points(6)), "polygon"),
            thing("a", outline(points(5), [points(3), points(4)]), "polygon"),
            thing("a", outline(points(2)), "rectangle"),
            thing("a", outline(points(5)), "line"),
            thing("a", outline(points(1)), "point"),
            thing("a", bitmap(points(1)[0], packed(np.dstack([mask] * 4))), "bitmap"),
        ]
    return things


@pytest.mark.slow
def test_random_objects_are_painted_as_the_official_sdk_does(tmp_path: Path) -> None:
    python = ROOT / ".venv-supervisely" / "bin" / "python"
    if not python.exists():
        reason = "the Supervisely SDK is not installed (make supervisely-sdk)"
        pytest.fail(reason) if os.environ.get("REQUIRE_ALL") else pytest.skip(reason)
    height, width = 40, 60
    things = random_things(height, width)
    (tmp_path / "things.json").write_text(json.dumps([height, width, things]))
    files = [str(tmp_path / "things.json"), str(tmp_path / "m.npy")]
    command = [str(python), "-W", "ignore", "-c", _SDK, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for entry, expected in zip(things, np.load(tmp_path / "m.npy"), strict=True):
        assert (painted("any", entry, (height, width)) == expected).all(), entry
