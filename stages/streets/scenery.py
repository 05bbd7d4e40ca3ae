"""Static objects beside the road: buildings, trees, lamps, signs, fences."""

from dataclasses import dataclass

import numpy as np

from icstream.model import CAMVID
from icstream.stages.streets.canvas import NEAR, Canvas, Points

BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE = (
    CAMVID.names.index(name)
    for name in ("Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence")
)

_FLOOR = 3.1
_WALLS = np.array(
    [
        (176, 140, 112),
        (150, 92, 74),
        (198, 186, 164),
        (128, 126, 124),
        (206, 170, 120),
        (110, 96, 92),
        (164, 160, 150),
        (140, 116, 100),
    ],
    np.float64,
)


@dataclass(frozen=True, slots=True)
class Building:
    """A house front along the road, with rows of windows."""

    x: float
    """The x of the front, whose sign is the side of the road."""
    z: float
    """The distance of the near end from the camera."""
    length: float
    floors: int
    wall: int
    sunlit: float
    """The brightness of the front, which faces the road."""
    seed: int

    @property
    def depth(self) -> float:
        """The distance of the far end, which determines the order of painting."""
        return self.z + self.length

    def paint(self, canvas: Canvas) -> None:
        """Paint front, gable and windows."""
        near, far = max(self.z, NEAR), self.z + self.length
        height = self.floors * _FLOOR + 1.2
        color = _WALLS[self.wall]
        if self.z > NEAR:
            back = self.x + 12 * np.sign(self.x)
            canvas.upright(self.x, back, 0, height, self.z, color * 0.75, BUILDING)
        front = [(self.x, 0, near), (self.x, 0, far), (self.x, height, far), (self.x, height, near)]
        canvas.polygon(front, color * self.sunlit, BUILDING)
        cornice = [(self.x, height - 0.5, near), (self.x, height - 0.5, far)]
        cornice += [(self.x, height, far), (self.x, height, near)]
        canvas.polygon(cornice, color * self.sunlit * 0.7, None)
        self._paint_windows(canvas, near)

    def _paint_windows(self, canvas: Canvas, near: float) -> None:
        if canvas.pixels(1.5, self.z + self.length / 2) < 2:
            return
        random = np.random.default_rng(self.seed)
        columns = max(2, int(self.length / random.uniform(2.2, 3.4)))
        pitch = self.length / columns
        wide, tall = pitch * random.uniform(0.4, 0.6), random.uniform(1.3, 1.9)
        floor, column = np.mgrid[0 : self.floors, 0:columns]
        bottom = (floor * _FLOOR + 0.9).ravel()
        left = (self.z + (column + 0.5) * pitch - wide / 2).ravel()
        shop = (floor.ravel() == 0) & (random.random() < 0.5)
        top = np.where(shop, bottom + 1.6, bottom + tall)
        bottom = np.where(shop, 0.4, bottom)
        seen = left > near
        corners = np.stack(
            [
                _line(self.x, bottom, left),
                _line(self.x, bottom, left + wide),
                _line(self.x, top, left + wide),
                _line(self.x, top, left),
            ],
            axis=1,
        )
        kind = random.integers(0, 3, len(left))
        glass = np.array([(52, 60, 72), (86, 100, 116), (38, 40, 46)], np.float64)
        for i, color in enumerate(glass):
            chosen = corners[seen & (kind == i)]
            if len(chosen):
                canvas.polygons(chosen, color * (0.5 + 0.5 * self.sunlit), self.z + 3, None)


@dataclass(frozen=True, slots=True)
class Tree:
    """A trunk and a crown of many clumps of leaves."""

    x: float
    depth: float
    height: float
    hue: float
    seed: int

    def paint(self, canvas: Canvas) -> None:
        """Paint trunk, then crown."""
        thick = 0.028 * self.height
        trunk = np.array((74, 58, 46), np.float64)
        canvas.upright(
            self.x - thick, self.x + thick, 0, 0.5 * self.height, self.depth, trunk, TREE
        )
        random = np.random.default_rng(self.seed)
        count = 44 if canvas.pixels(self.height, self.depth) > 60 else 12
        offsets = np.clip(random.normal(0, 1, (count, 2)), -1.8, 1.8)
        offsets *= (0.15 * self.height, 0.13 * self.height)
        centers = np.column_stack(
            [
                self.x + offsets[:, 0],
                0.68 * self.height + offsets[:, 1],
                np.full(count, self.depth),
            ]
        )
        radii = random.uniform(0.06, 0.12, (count, 1)) * self.height * np.array([[1.0, 0.85]])
        light = (
            0.75 + 0.45 * (offsets[:, 1:] / (0.3 * self.height)) + random.normal(0, 0.1, (count, 1))
        )
        green = np.array((62 + 40 * self.hue, 96, 44 - 14 * self.hue))
        order = np.argsort(offsets[:, 1])
        canvas.ellipses(centers[order], radii[order], (green * light)[order], TREE)


@dataclass(frozen=True, slots=True)
class Lamp:
    """A lamp post with an arm over the road."""

    x: float
    depth: float
    height: float

    def paint(self, canvas: Canvas) -> None:
        """Paint post, arm and head."""
        gray = (92, 96, 98)
        arm = self.x - 1.6 * np.sign(self.x)
        half = max(0.07, 0.6 * self.depth / canvas.focal)
        canvas.upright(self.x - half, self.x + half, 0, self.height, self.depth, gray, POLE)
        low, high = self.height - 2 * half, self.height
        canvas.upright(min(arm, self.x), max(arm, self.x), low, high, self.depth, gray, POLE)
        canvas.upright(
            arm - 0.35, arm + 0.35, low - 0.12, high + 0.05, self.depth, (206, 204, 190), POLE
        )


@dataclass(frozen=True, slots=True)
class Sign:
    """A traffic sign or light on its post."""

    x: float
    depth: float
    kind: int
    """The kind: 0 round, 1 triangle, 2 board, 3 traffic light."""

    def paint(self, canvas: Canvas) -> None:
        """Paint post and plate."""
        half = max(0.05, 0.55 * self.depth / canvas.focal)
        z = self.depth
        canvas.upright(self.x - half, self.x + half, 0, 2.4, z, (120, 122, 124), POLE)
        if self.kind == 0:
            disc = np.array([[self.x, 2.7, z]])
            for radius, color in ((0.5, (190, 28, 34)), (0.36, (232, 232, 228))):
                canvas.ellipses(disc, np.full((1, 2), radius), np.array([color], np.float64), SIGN)
        elif self.kind == 1:
            for s, color in ((0.62, (196, 34, 36)), (0.4, (236, 234, 226))):
                corners = [(self.x - s, 2.7 - 0.55 * s, z), (self.x + s, 2.7 - 0.55 * s, z)]
                canvas.polygon([*corners, (self.x, 2.7 + 1.0 * s, z)], color, SIGN)
        elif self.kind == 2:
            canvas.upright(self.x - 0.8, self.x + 0.8, 2.2, 3.3, z, (30, 70, 150), SIGN)
            canvas.upright(self.x - 0.6, self.x + 0.6, 2.65, 2.85, z, (230, 234, 238), None)
        else:
            canvas.upright(self.x - 0.28, self.x + 0.28, 2.3, 3.5, z, (34, 36, 34), SIGN)
            lights = np.array([[self.x, 3.25 - 0.37 * i, z] for i in range(3)])
            colors = np.array([(206, 40, 32), (90, 74, 26), (28, 80, 40)], np.float64)
            canvas.ellipses(lights, np.full((3, 2), 0.14), colors, SIGN)


@dataclass(frozen=True, slots=True)
class Fence:
    """A railing along the pavement."""

    x: float
    z: float
    length: float
    tone: float

    @property
    def depth(self) -> float:
        """The distance of the far end, which determines the order of painting."""
        return self.z + self.length

    def paint(self, canvas: Canvas) -> None:
        """Paint the panel, then its bars and rails."""
        near, far, top = max(self.z, NEAR), self.depth, 1.25
        color = np.array((96, 88, 78), np.float64) * self.tone
        panel = [(self.x, 0, near), (self.x, 0, far), (self.x, top, far), (self.x, top, near)]
        canvas.polygon(panel, color, FENCE)
        starts = np.arange(self.z, far, 0.5)
        starts = starts[starts > near]
        if len(starts) and canvas.pixels(0.3, near) > 3:
            bars = np.stack(
                [
                    _line(self.x, np.full(len(starts), y), starts + dz)
                    for y, dz in ((0.1, 0.0), (0.1, 0.25), (top, 0.25), (top, 0.0))
                ],
                axis=1,
            )
            canvas.polygons(bars, color * 0.55, near + 2, None)
        rail = [(self.x, top - 0.12, near), (self.x, top - 0.12, far)]
        canvas.polygon([*rail, (self.x, top, far), (self.x, top, near)], color * 1.25, None)


def _line(x: float, y: Points, z: Points) -> Points:
    return np.stack([np.full(len(z), x), np.broadcast_to(y, z.shape), z], axis=-1)
