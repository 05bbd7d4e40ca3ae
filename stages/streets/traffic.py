"""Moving objects: cars, pedestrians, bicyclists."""

from dataclasses import dataclass

import numpy as np

from icstream.model import CAMVID
from icstream.stages.streets.canvas import NEAR, Canvas

CAR, PEDESTRIAN, BICYCLIST = (
    CAMVID.names.index(name) for name in ("Car", "Pedestrian", "Bicyclist")
)
_SKIN = (196, 150, 122)


@dataclass(frozen=True, slots=True)
class Car:
    """A car seen from behind (towards = False) or from the front."""

    x: float
    z: float
    color: tuple[float, float, float]
    towards: bool
    tall: bool
    """Whether it is a van."""

    @property
    def depth(self) -> float:
        """The distance of the near end, which determines the order of painting."""
        return self.z

    def paint(self, canvas: Canvas) -> None:
        """Paint shadow, wheels, body, cabin, lights."""
        half, length = (0.98, 4.9) if self.tall else (0.88, 4.3)
        left, right, far = self.x - half, self.x + half, self.z + length
        near = max(self.z, NEAR)
        if far <= NEAR + 0.5:
            return
        shadow = [(left - 0.25, 0.0, near), (right + 0.25, 0.0, near)]
        shadow += [(right + 0.25, 0.0, far), (left - 0.25, 0.0, far)]
        canvas.polygon(shadow, (34, 34, 38), None)
        tyre = (22, 22, 24)
        for wheel in (left, right - 0.22):
            canvas.box((wheel, wheel + 0.22), (0.0, 0.6), (near, far - 0.2), tyre, CAR)
        belt = 1.05 if self.tall else 0.92
        roof = 2.05 if self.tall else 1.45
        canvas.box((left, right), (0.28, belt), (self.z, far), self.color, CAR)
        front, back = (0.15, 0.4) if self.tall else (1.0, 0.5)
        if not self.towards:
            front, back = back, front
        cabin = self.z + front, far - back
        canvas.box((left + 0.06, right - 0.06), (belt, roof), cabin, self.color, CAR, taper=0.22)
        self._paint_details(canvas, left, right, belt, roof, cabin[0])

    def _paint_details(
        self, canvas: Canvas, left: float, right: float, belt: float, roof: float, glass_z: float
    ) -> None:
        if self.z <= NEAR:
            return
        low, high = belt + 0.06, roof - 0.1
        shift = 0.22
        pane = [(left + 0.16, low, glass_z), (right - 0.16, low, glass_z)]
        pane += [(right - 0.34, high, glass_z + shift), (left + 0.34, high, glass_z + shift)]
        canvas.polygon(pane, (44, 54, 64), CAR)
        light = (248, 244, 214) if self.towards else (190, 24, 26)
        for edge in (left + 0.08, right - 0.42):
            canvas.upright(edge, edge + 0.34, 0.62, 0.82, self.z, light, CAR)
        canvas.upright(self.x - 0.26, self.x + 0.26, 0.42, 0.54, self.z, (226, 222, 190), CAR)
        canvas.upright(left, right, 0.28, 0.38, self.z, (40, 40, 44), CAR)


@dataclass(frozen=True, slots=True)
class Person:
    """A pedestrian."""

    x: float
    depth: float
    height: float
    coat: tuple[float, float, float]
    stride: float
    """The phase of the walk, in radians."""

    def paint(self, canvas: Canvas) -> None:
        """Paint legs, coat, arms, head."""
        _paint_walker(canvas, self, PEDESTRIAN, lift=0.0)


@dataclass(frozen=True, slots=True)
class Rider:
    """A bicyclist, seen from behind."""

    x: float
    depth: float
    coat: tuple[float, float, float]
    stride: float

    def paint(self, canvas: Canvas) -> None:
        """Paint the wheel, the bags, the handlebar and the rider."""
        z = self.depth
        frame = (40, 44, 52)
        canvas.ellipses(
            np.array([[self.x, 0.36, z]]),
            np.array([[0.15, 0.36]]),
            np.array([frame], np.float64),
            BICYCLIST,
            thickness=0.09,
        )
        canvas.upright(self.x - 0.26, self.x + 0.26, 0.5, 0.78, z, (150, 70, 30), BICYCLIST)
        canvas.upright(self.x - 0.05, self.x + 0.05, 0.3, 1.0, z, frame, BICYCLIST)
        canvas.upright(self.x - 0.3, self.x + 0.3, 1.02, 1.1, z, frame, BICYCLIST)
        person = Person(self.x, z, 1.62, self.coat, self.stride)
        _paint_walker(canvas, person, BICYCLIST, lift=0.28)


def _paint_walker(canvas: Canvas, person: Person, class_id: int, *, lift: float) -> None:
    x, z, tall = person.x, person.depth, person.height
    swing = 0.13 * np.sin(person.stride)
    trousers = (48, 50, 66)
    hip, shoulder = lift + 0.47 * tall, lift + 0.82 * tall
    for side, step in ((-0.09, swing), (0.09, -swing)):
        leg = [(x + side - 0.08, hip, z), (x + side + 0.08, hip, z)]
        leg += [(x + side + step + 0.07, lift, z), (x + side + step - 0.07, lift, z)]
        canvas.polygon(leg, trousers, class_id)
    for side, step in ((-0.24, -swing), (0.24, swing)):
        arm = [(x + side * 0.8 - 0.06, shoulder, z), (x + side * 0.8 + 0.06, shoulder, z)]
        arm += [(x + side + step + 0.05, hip + 0.02, z), (x + side + step - 0.05, hip + 0.02, z)]
        canvas.polygon(arm, np.asarray(person.coat) * 0.8, class_id)
    coat = [(x - 0.2, hip - 0.05, z), (x + 0.2, hip - 0.05, z)]
    coat += [(x + 0.23, shoulder, z), (x - 0.23, shoulder, z)]
    canvas.polygon(coat, person.coat, class_id)
    head = np.array([[x, lift + 0.9 * tall, z], [x, lift + 0.95 * tall, z]])
    radii = np.array([[0.11, 0.14], [0.12, 0.08]])
    canvas.ellipses(head, radii, np.array([_SKIN, (60, 44, 34)], np.float64), class_id)
