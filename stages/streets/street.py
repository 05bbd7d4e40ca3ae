"""An endless street, laid out block by block from a seed."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError
from icstream.model.geometry import MIN_SIDE
from icstream.stages.streets.canvas import FAR, NEAR, Canvas
from icstream.stages.streets.ground import (
    LIGHTS,
    develop,
    paint_ground,
    paint_sky,
    shade_ground,
)
from icstream.stages.streets.scenery import Building, Fence, Lamp, Sign, Tree
from icstream.stages.streets.traffic import Car, Person, Rider

_BLOCK = 16.0
"""The length of one block, in meters, in which objects are placed randomly."""
_LOOP = 150.0
"""The length, in meters, of the section of traffic, which wraps around in the haze."""
_PAINTS = np.array(
    [
        (168, 30, 32),
        (26, 52, 120),
        (206, 208, 210),
        (36, 38, 42),
        (128, 132, 138),
        (232, 230, 224),
        (60, 84, 70),
        (190, 150, 60),
    ],
    np.float64,
)


class _Paintable(Protocol):
    @property
    def depth(self) -> float: ...

    def paint(self, canvas: Canvas) -> None: ...


class Street:
    """A rendered street in CamVid's classes, seen from a car that drives along it.

    Everything depends on the seed: layout, houses, light, traffic, speed.
    """

    def __init__(self, seed: int, *, size: tuple[int, int] = (360, 480)) -> None:
        """Choose the street's properties randomly.

        Args:
            seed: The seed, at least 0.
            size: The (height, width) of the images in pixels, each at least 64.

        Raises:
            ConfigError: The seed is negative, or the size too small.
        """
        if seed < 0 or min(size) < MIN_SIDE:
            raise ConfigError(
                f"street: got seed {seed} and size {size[0]}x{size[1]}, allowed are seeds from 0"
                f" and sides from {MIN_SIDE}"
            )
        self.seed = seed
        self.size = size
        random = np.random.default_rng([seed, 0])
        self._light = LIGHTS[int(random.integers(len(LIGHTS)))]
        self._lanes = int(random.choice([2, 2, 4]))
        self._half_width = 1.75 * self._lanes + random.uniform(-0.2, 1.6)
        self._pavement = random.uniform(2.0, 4.5)
        self._houses = random.uniform(0.45, 0.95)
        self._trees = random.uniform(0.15, 0.75)
        self._fences = random.uniform(0.1, 0.45)
        self._people = random.uniform(0.25, 0.8)
        self._parking = random.uniform(0.0, 0.55)
        self._floors = int(random.integers(2, 6))
        self._speed = random.uniform(6, 13)
        self._horizon = random.uniform(0.42, 0.52)
        self._eye_height = random.uniform(1.3, 1.7)
        lane = 2 * self._half_width / self._lanes
        # Traffic keeps to the right; the camera drives in the rightmost lane.
        self._eye_x = self._half_width - lane / 2

    def render(self, time_s: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the (H, W, 3) RGB image and the (H, W) class ids at a time, in seconds from 0."""
        traveled = self._speed * time_s
        sway = np.array([self._eye_x + 0.12 * np.sin(0.7 * time_s), self._eye_height])
        bounce = 0.004 * np.sin(5.1 * time_s) + 0.002 * np.sin(11.3 * time_s)
        haze = np.array([*self._light.rim, self._light.visibility])
        canvas = Canvas(self.size, eye=sway, horizon=self._horizon + bounce, haze=haze)
        road = -self._half_width, self._half_width
        paint_sky(canvas, self._light, 6 * time_s + 40 * (self.seed % 97))
        paint_ground(canvas, traveled, road, self._pavement, self._lanes)
        shade_ground(canvas, self._light, road)
        things = self._standing(traveled) + self._moving(time_s, traveled)
        for thing in sorted(things, key=lambda thing: -thing.depth):
            thing.paint(canvas)
        noise = np.random.default_rng([self.seed, 1, round(time_s * 1e6)])
        return develop(canvas, self._light, noise)

    def _standing(self, traveled: float) -> list[_Paintable]:
        things: list[_Paintable] = []
        first = int((traveled - 2 * _BLOCK) // _BLOCK)
        for block in range(max(first, -2), int((traveled + FAR) // _BLOCK) + 1):
            for side in (-1, 1):
                z = block * _BLOCK - traveled
                things += self._block(block, side, z)
        return [thing for thing in things if NEAR < thing.depth < FAR + _BLOCK]

    def _block(self, block: int, side: int, z: float) -> list[_Paintable]:
        random = np.random.default_rng([self.seed, 2, block + 2, side + 1])
        kerb = side * self._half_width
        wall = side * (self._half_width + self._pavement + random.uniform(0, 0.6))
        lit = 1.0 + 0.22 * self._light.sun * -side
        things: list[_Paintable] = []
        if random.random() < self._houses:
            floors = max(1, self._floors + int(random.integers(-1, 3)))
            paint = int(random.integers(8))
            marks = int(random.integers(1 << 30))
            things.append(Building(wall, z, _BLOCK, floors, paint, lit, marks))
        else:
            for _ in range(3):
                x = wall + side * random.uniform(0.5, 7)
                things.append(self._tree(random, x, z + random.uniform(0, _BLOCK), 6, 10))
            if random.random() < 0.75:
                things.append(Fence(wall, z, _BLOCK, random.uniform(0.8, 1.4)))
        if random.random() < self._fences:
            things.append(Fence(kerb + side * 0.35, z, _BLOCK * 0.6, random.uniform(0.7, 1.5)))
        if random.random() < self._trees:
            x = kerb + side * random.uniform(0.7, 1.3)
            things.append(self._tree(random, x, z + random.uniform(3, 13), 4.5, 8))
        if block % 2 == (side > 0):
            things.append(Lamp(kerb + side * 0.6, z + 8, random.uniform(6.5, 8)))
        if random.random() < 0.4:
            kind = int(random.integers(4))
            things.append(Sign(kerb + side * 0.7, z + random.uniform(2, 14), kind))
        if random.random() < self._parking and self._half_width > 4:
            color = tuple(_PAINTS[random.integers(len(_PAINTS))].tolist())
            x = kerb - side * 1.15
            things.append(Car(x, z + 5, color, side < 0, bool(random.random() < 0.2)))
        return things

    def _tree(
        self, random: np.random.Generator, x: float, z: float, low: float, high: float
    ) -> Tree:
        height = random.uniform(low, high)
        return Tree(x, z, height, random.random(), int(random.integers(1 << 30)))

    def _moving(self, time_s: float, traveled: float) -> list[_Paintable]:
        things: list[_Paintable] = []
        random = np.random.default_rng([self.seed, 3])
        lane = 2 * self._half_width / self._lanes
        for _ in range(7):
            number = int(random.integers(self._lanes))
            towards = number < self._lanes // 2
            x = -self._half_width + (number + 0.5) * lane + random.uniform(-0.2, 0.2)
            speed = random.uniform(6, 13) * (-1 if towards else 1)
            z = (random.uniform(0, _LOOP) + speed * time_s - traveled) % _LOOP + 4.5
            color = tuple(_PAINTS[random.integers(len(_PAINTS))].tolist())
            things.append(Car(x, z, color, towards, bool(random.random() < 0.2)))
        for _ in range(int(24 * self._people)):
            side = int(random.choice([-1, 1]))
            x = side * (self._half_width + random.uniform(0.6, self._pavement - 0.3))
            pace = random.uniform(0.9, 1.6) * random.choice([-1, 1])
            z = (random.uniform(0, _LOOP / 2) + pace * time_s - traveled) % (_LOOP / 2) + 2.5
            coat = tuple(random.uniform(30, 200, 3).tolist())
            phase = 2 * np.pi * (pace * time_s / 1.5 + random.random())
            things.append(Person(x, z, random.uniform(1.5, 1.9), coat, float(phase)))
        for _ in range(int(random.integers(1, 4))):
            x = self._half_width - random.uniform(0.5, 0.9)
            pace = random.uniform(3.5, 6)
            z = (random.uniform(0, _LOOP / 2) + pace * time_s - traveled) % (_LOOP / 2) + 4
            coat = tuple(random.uniform(60, 230, 3).tolist())
            things.append(Rider(x, z, coat, float(4 * time_s)))
        return [thing for thing in things if thing.depth < FAR]
