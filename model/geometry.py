"""How an image is fitted to the network's input, and how its pixels are found among the scores.

ICNet's branches meet exactly where a side is 32k+1 pixels long: the score map then has 4k+1
nodes, and node i lies on pixel 8i (align-corners bilinear, the authors' `Interp` layer).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import ConfigError

FitMode = Literal["native", "stretch", "letterbox"]

MIN_SIDE = 64
"""Smallest side, in pixels, that the network takes."""
MAX_PIXELS = 64 * 2**20
"""Larger images, label images, frames and fits are refused before memory is allocated for them."""
MAX_DOUBLE_BELOW = 10_000
"""Largest side, in pixels, up to which images may be shown twice as large."""
STEP = 8
"""Input pixels from one score node to the next."""


def network_side(side: int) -> int:
    """Return the smallest 32k+1 that is not below `side`."""
    return -(-(side - 1) // 32) * 32 + 1


def network_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width), each raised to the next 32k+1."""
    return network_side(size[0]), network_side(size[1])


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Where the pixels of one side of an image lie among the score nodes of that side."""

    nodes: NDArray[np.int32]
    """(L,) the node before each pixel; at most the number of nodes - 2."""
    fractions: NDArray[np.float32]
    """(L,) how far the pixel is from that node towards the next, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How images of one size lie in the network's input, and their pixels among the scores.

    The image is resized to `inner`, which fills the input from its top left corner; the rest of
    the input, up to `outer`, is the mean color.
    """

    source: tuple[int, int]
    """(H, W) of the image."""
    inner: tuple[int, int]
    """(height, width) that the image takes up in the input; equals `source` when native."""
    outer: tuple[int, int]
    """(height, width) of the input, both 32k+1."""

    @property
    def resized(self) -> bool:
        """Return whether the image is scaled on its way in."""
        return self.inner != self.source

    def axes(self, step: int = STEP) -> tuple[Axis, Axis]:
        """Return the rows and the columns of the image among nodes at every `step`-th input pixel.

        Pixel centers are kept: pixel y of the image lies at (y + 0.5) * inner / source - 0.5 of
        the input, which is y itself when native.
        """
        return _axes(self, step)


@dataclass(frozen=True, slots=True)
class Fit:
    """The rule by which images of any size become network inputs."""

    mode: FitMode = "native"
    """native: pad to the next 32k+1; stretch: resize to `size`; letterbox: resize within `size`."""
    size: tuple[int, int] | None = None
    """(height, width) for stretch and letterbox, before it is raised to 32k+1."""
    double_below: int = 0
    """native: images whose shorter side has fewer pixels than this are shown twice as large."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(FitMode):
            raise ConfigError(
                f"fit mode: got {self.mode!r}, allowed are {', '.join(get_args(FitMode))}"
            )
        if type(self.double_below) is not int or not 0 <= self.double_below <= MAX_DOUBLE_BELOW:
            raise ConfigError(
                f"fit double_below: got {self.double_below!r}, allowed are 0..{MAX_DOUBLE_BELOW}"
            )
        if self.mode != "native" and self.double_below:
            raise ConfigError(f"fit {self.mode} takes no double_below; use fit native")
        if self.mode == "native" and self.size is not None:
            raise ConfigError("fit native takes no size; use fit stretch or letterbox")
        if self.mode != "native" and self.size is None:
            raise ConfigError(f"fit {self.mode} needs a size, for example 512x1024")
        if self.size is None:
            return
        height, width = self.size
        if min(self.size) < MIN_SIDE:
            raise ConfigError(f"fit size {height}x{width}: both sides must be {MIN_SIDE} or more")
        if height * width > MAX_PIXELS:
            raise ConfigError(
                f"fit size {height}x{width}: {height * width} pixels are more than the allowed"
                f" {MAX_PIXELS}"
            )

    def geometry(self, source: tuple[int, int]) -> Geometry:
        """Return the geometry of images of `source` = (height, width).

        Images smaller than 64 pixels on a side are padded up to that.
        """
        if self.size is None:
            zoom = 2 if min(source) < self.double_below else 1
            inner = target = (zoom * source[0], zoom * source[1])
        elif self.mode == "stretch":
            inner, target = self.size, self.size
        else:
            scale = min(self.size[0] / source[0], self.size[1] / source[1])
            inner = (
                min(self.size[0], max(1, round(source[0] * scale))),
                min(self.size[1], max(1, round(source[1] * scale))),
            )
            target = self.size
        outer = network_size((max(target[0], MIN_SIDE), max(target[1], MIN_SIDE)))
        return Geometry(source=source, inner=inner, outer=outer)


@lru_cache(maxsize=16)
def _axes(geometry: Geometry, step: int) -> tuple[Axis, Axis]:
    rows, columns = (
        _axis(source, inner, outer, step)
        for source, inner, outer in zip(
            geometry.source, geometry.inner, geometry.outer, strict=True
        )
    )
    return rows, columns


@lru_cache(maxsize=64)
def canvas_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of the memory for an image and what the network needs beside it."""
    return Fit().geometry(size).outer


def _axis(source: int, inner: int, outer: int, step: int) -> Axis:
    pixels = np.arange(source, dtype=np.float64)
    if inner != source:
        pixels = np.clip((pixels + 0.5) * (inner / source) - 0.5, 0, inner - 1)
    position = pixels / step
    nodes = np.minimum(position.astype(np.int32), (outer - 1) // step - 1)
    return Axis(nodes.astype(np.int32), (position - nodes).astype(np.float32))
