"""Sky, road, pavements and light."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import CAMVID
from icstream.stages.streets.canvas import FAR, NEAR, Canvas
from icstream.stages.streets.scenery import PAVEMENT, ROAD, TREE

SKY = CAMVID.names.index("Sky")
_TILE = 512
_ASPHALT = np.array((104, 104, 108), np.float64)
_SLABS = np.array((156, 150, 142), np.float64)
_PAINT = (222, 222, 214)


@dataclass(frozen=True, slots=True)
class Light:
    """The time of day and the weather of one street."""

    zenith: tuple[float, float, float]
    """The color of the sky above."""
    rim: tuple[float, float, float]
    """The color of the sky at the horizon, and of the haze."""
    tint: tuple[float, float, float]
    """The color by which lit surfaces are multiplied."""
    clouds: float
    """The share of clouds in the sky, 0 to 1."""
    visibility: float
    """The distance, in meters, at which haze absorbs half."""
    sun: float
    """The direction of the sun: -1 from the left, 1 from the right."""


LIGHTS = (
    Light((70, 122, 206), (196, 214, 232), (1.04, 1.02, 0.98), 0.35, 170, 0.7),
    Light((150, 158, 168), (206, 208, 210), (0.88, 0.90, 0.94), 0.9, 95, 0.0),
    Light((88, 104, 158), (244, 196, 148), (1.06, 0.94, 0.80), 0.4, 120, -0.9),
    Light((46, 60, 104), (150, 128, 138), (0.62, 0.60, 0.68), 0.6, 100, 0.3),
    Light((96, 148, 218), (214, 226, 238), (1.12, 1.10, 1.06), 0.15, 220, -0.5),
)


@lru_cache(maxsize=1)
def noise_tile() -> NDArray[np.float32]:
    """Return (512, 512) tileable noise, fine and coarse, with zero mean and unit deviation."""
    random = np.random.default_rng(7)
    total = np.zeros((_TILE, _TILE), np.float32)
    for cells, weight in ((8, 1.0), (32, 0.7), (128, 0.5), (512, 0.35)):
        coarse = random.normal(0, 1, (cells, cells)).astype(np.float32)
        wrapped = np.pad(coarse, 2, mode="wrap")
        scale = _TILE // cells
        large = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        margin = 2 * scale
        total += weight * large[margin : margin + _TILE, margin : margin + _TILE]
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def paint_sky(canvas: Canvas, light: Light, drift: float) -> None:
    """Fill the canvas with sky, with clouds moved by `drift`, in tile pixels."""
    canvas.ids[:] = SKY
    share = np.linspace(0, 1, canvas.height, dtype=np.float32)[:, None] / 0.5
    share = np.clip(share, 0, 1)[..., None]
    sky = np.asarray(light.zenith) * (1 - share) + np.asarray(light.rim) * share
    rows, columns = np.mgrid[0 : canvas.height : 2, 0 : canvas.width : 2].astype(np.float32)
    # Clouds lie on a flat layer: rows near the horizon see farther along it.
    depth = 60.0 / (np.maximum(canvas.center[1] - rows, 0) + 0.12 * canvas.height)
    u = ((columns - canvas.center[0]) / canvas.width * 260 * depth / 0.3 + drift) % _TILE
    v = (depth * 420) % _TILE
    cover = noise_tile()[v.astype(np.int32) % _TILE, u.astype(np.int32) % _TILE]
    cover = cv2.GaussianBlur(cover, (0, 0), 2.0)
    cover = cv2.resize(cover, (canvas.width, canvas.height))
    white = np.clip((cover + 2 * light.clouds - 0.9) * 0.7, 0, 0.85)[..., None]
    cloud = np.asarray(light.rim) * 0.35 + 158
    canvas.rgb[:] = np.clip(sky * (1 - white) + cloud * white, 0, 255).astype(np.uint8)


def paint_ground(
    canvas: Canvas, traveled: float, road: tuple[float, float], pavement: float, lanes: int
) -> None:
    """Paint the pavements, the road, its kerbs and its marks.

    Args:
        canvas: The canvas with the sky.
        traveled: The distance of the camera along the road, in meters.
        road: The x of the road's left and right edges.
        pavement: The width in meters; beyond it is a green verge of class Tree, like hedges.
        lanes: The number of lanes in both directions together.
    """
    left, right = road
    _strip(canvas, -400, 400, (86, 102, 62), TREE)
    _strip(canvas, left - pavement, right + pavement, _SLABS, PAVEMENT)
    _strip(canvas, left, right, _ASPHALT, ROAD)
    for edge in (left - 0.18, right):
        _strip(canvas, edge, edge + 0.18, (178, 176, 170), PAVEMENT)
    for lane in range(1, lanes):
        x = left + (right - left) * lane / lanes
        if lane * 2 == lanes and lanes > 2:
            _strip(canvas, x - 0.16, x - 0.06, _PAINT, None)
            _strip(canvas, x + 0.06, x + 0.16, _PAINT, None)
            continue
        starts = np.arange(-(traveled % 9.0), FAR, 9.0)
        _bars(canvas, np.full(len(starts), x - 0.07), 0.14, starts, 3.2)
    for x in (left + 0.35, right - 0.47):
        _strip(canvas, x, x + 0.12, _PAINT, None)
    crossing = -(traveled % 85.0) + 85.0
    bars = np.arange(left + 0.9, right - 0.9, 1.1)
    _bars(canvas, bars, 0.55, np.full(len(bars), crossing), 3.0)
    _texture_ground(canvas, traveled)


def shade_ground(canvas: Canvas, light: Light, road: tuple[float, float]) -> None:
    """Darken the side of the ground in the shadow of the houses."""
    if abs(light.sun) < 0.2:
        return
    left, right = road
    edge = left + 0.45 * (right - left) if light.sun < 0 else right - 0.45 * (right - left)
    outer = -60.0 if light.sun < 0 else 60.0
    corners = np.array([[edge, 0, NEAR], [edge, 0, FAR], [outer, 0, FAR], [outer, 0, NEAR]])
    mask = np.zeros(canvas.ids.shape, np.uint8)
    shape = np.clip(canvas.project(corners), -1e4, 1e4).astype(np.int32)
    cv2.fillConvexPoly(mask, shape, 255)
    soft = cv2.GaussianBlur(mask, (0, 0), canvas.width / 240)
    factor = 1 - (0.38 * abs(light.sun) / 255) * soft.astype(np.float32)
    top = max(0, int(canvas.center[1]))
    lit = canvas.rgb[top:] * factor[top:, :, None]
    canvas.rgb[top:] = lit.astype(np.uint8)


def develop(
    canvas: Canvas, light: Light, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the image and mask with a camera's effects: tint, vignette, softness, sensor noise."""
    soft = cv2.GaussianBlur(canvas.rgb, (3, 3), 0.55)
    y, x = np.mgrid[-1 : 1 : canvas.height * 1j, -1 : 1 : canvas.width * 1j].astype(np.float32)
    gain = (1 - 0.14 * (x * x + y * y))[..., None] * np.asarray(light.tint, np.float32)
    fine = random.normal(0, 3.2, (canvas.height, canvas.width, 1)).astype(np.float32)
    image = soft * gain + fine
    return np.clip(image, 0, 255).astype(np.uint8), canvas.ids


def _strip(canvas: Canvas, left: float, right: float, color: object, class_id: int | None) -> None:
    """Paint a strip of ground along the road, in pieces so that haze grows with distance."""
    shade = np.asarray(color, np.float64)
    edges = (NEAR, 4.0, 8, 14, 22, 34, 52, 80, FAR, 900)
    for near, far in pairwise(edges):
        corners = [(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)]
        canvas.polygon(corners, shade, class_id)


def _bars(
    canvas: Canvas,
    lefts: NDArray[np.float64],
    width: float,
    starts: NDArray[np.float64],
    length: float,
) -> None:
    seen = starts + length > NEAR
    lefts, starts = lefts[seen], starts[seen]
    if not len(lefts):
        return
    ends = starts + length
    starts = np.maximum(starts, NEAR)
    zero = np.zeros(len(lefts))
    corners = np.stack(
        [
            np.stack([lefts, zero, starts], -1),
            np.stack([lefts + width, zero, starts], -1),
            np.stack([lefts + width, zero, ends], -1),
            np.stack([lefts, zero, ends], -1),
        ],
        axis=1,
    )
    for corner in corners:
        canvas.polygons(corner[None], _PAINT, float(corner[0, 2]), None)


def _texture_ground(canvas: Canvas, traveled: float) -> None:
    """Add noise to the ground that is fixed to it and fades with distance."""
    top = int(canvas.center[1]) + 2
    rows, columns = np.mgrid[top : canvas.height, 0 : canvas.width].astype(np.float32)
    z = canvas.eye[1] * canvas.focal / (rows - canvas.center[1])
    x = (columns - canvas.center[0]) * z / canvas.focal + canvas.eye[0]
    u = (x * 40).astype(np.int64) % _TILE
    v = ((z + traveled) * 24).astype(np.int64) % _TILE
    strength = 7.0 * np.exp(-z / 25)
    ground = canvas.rgb[top:] + (noise_tile()[v, u] * strength)[..., None]
    canvas.rgb[top:] = np.clip(ground, 0, 255).astype(np.uint8)
