"""The mapping between images, the network's input and its logits.

ICNet's branches meet exactly where a side is 32k+1 pixels long: the logits then have 4k+1 nodes,
and node i lies on pixel 8i (align-corners bilinear, the authors' `Interp` layer).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import ConfigError

FitMode = Literal["native", "stretch", "letterbox"]

MIN_SIDE = 64
"""The smallest side, in pixels, that the network accepts."""
MAX_PIXELS = 64 * 2**20
"""The largest number of pixels of images, label images, frames and fits; larger ones are
refused."""
MAX_INPUT_PIXELS = MAX_PIXELS * 3 // 2
"""The largest number of pixels of the network's input, which padding makes larger than an image by
less than half."""
MAX_DOUBLE_BELOW = 10_000
"""The largest allowed `Fit.double_below`, in pixels."""
STEP = 8
"""The input pixels from one node to the next."""


def network_side(side: int) -> int:
    """Return the smallest 32k+1 that is at least `side`."""
    return -(-(side - 1) // 32) * 32 + 1


def network_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width), each rounded up to the next 32k+1."""
    return network_side(size[0]), network_side(size[1])


def padded_pixels(size: tuple[int, int]) -> int:
    """Return the number of pixels of an image of (height, width) whose sides are at least 64.

    Shorter sides are padded to that, so a row of a few kilobytes may otherwise take gigabytes.
    """
    return max(size[0], MIN_SIDE) * max(size[1], MIN_SIDE)


def pixel_fault(size: tuple[int, int], *, max_pixels: int = MAX_PIXELS) -> str | None:
    """Return why an image of (height, width) is larger than allowed, or None."""
    if padded_pixels(size) <= max_pixels:
        return None
    note = f", where sides below {MIN_SIDE} count as {MIN_SIDE}" if min(size) < MIN_SIDE else ""
    return f"{size[1]}x{size[0]} pixels are more than the allowed {max_pixels}{note}"


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The positions of an image's rows or columns among the nodes of that axis."""

    nodes: NDArray[np.int32]
    """The (L,) index of the node before each pixel; at most the number of nodes - 2."""
    fractions: NDArray[np.float32]
    """The (L,) distance from that node to the pixel, as a share of the step, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The placement of images of one size in the network's input, and of pixels among the nodes.

    The image is resized to `inner` and lies at the top left of the input; the rest, up to `outer`,
    has the mean color.
    """

    source: tuple[int, int]
    """The (H, W) of the image."""
    inner: tuple[int, int]
    """The (height, width) of the image within the input; equals `source` when native."""
    outer: tuple[int, int]
    """The (height, width) of the input, both 32k+1."""

    @property
    def resized(self) -> bool:
        """Return whether the image is resized."""
        return self.inner != self.source

    def axes(self, step: int = STEP) -> tuple[Axis, Axis]:
        """Return the positions of the image's rows and columns among nodes `step` pixels apart.

        Pixel centers are aligned: pixel y of the image lies at (y + 0.5) * inner / source - 0.5 in
        the input, which is y itself when native.
        """
        return _axes(self, step)


def input_fault(geometry: Geometry) -> str | None:
    """Return why the network's input for images of one size is larger than allowed, or None."""
    height, width = geometry.outer
    if height * width <= MAX_INPUT_PIXELS:
        return None
    return (
        f"needs an input of the network of {width}x{height} pixels, more than the allowed"
        f" {MAX_INPUT_PIXELS}"
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """The rule that turns images of any size into network inputs."""

    mode: FitMode = "native"
    """The mode: native pads to 32k+1; stretch resizes to `size`; letterbox resizes within
    `size`."""
    size: tuple[int, int] | None = None
    """The (height, width) for stretch and letterbox, before rounding up to 32k+1."""
    double_below: int = 0
    """The shorter side, in pixels, below which native doubles an image."""

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
            raise ConfigError(f"fit {self.mode} has no double_below; use fit native")
        if self.mode == "native" and self.size is not None:
            raise ConfigError("fit native has no size; use fit stretch or letterbox")
        if self.mode != "native" and self.size is None:
            raise ConfigError(f"fit {self.mode} needs a size, for example 512x1024")
        if self.size is None:
            return
        height, width = self.size
        if min(self.size) < MIN_SIDE:
            raise ConfigError(f"fit size {height}x{width}: both sides must be at least {MIN_SIDE}")
        if height * width > MAX_PIXELS:
            raise ConfigError(
                f"fit size {height}x{width}: {height * width} pixels are more than the allowed"
                f" {MAX_PIXELS}"
            )

    def geometry(self, source: tuple[int, int]) -> Geometry:
        """Return the geometry of images with `source` = (height, width).

        Sides below 64 pixels are padded to 64.
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
    """Return the (height, width) of memory for an image and the network's padding."""
    return Fit().geometry(size).outer


def _axis(source: int, inner: int, outer: int, step: int) -> Axis:
    pixels = np.arange(source, dtype=np.float64)
    if inner != source:
        pixels = np.clip((pixels + 0.5) * (inner / source) - 0.5, 0, inner - 1)
    position = pixels / step
    nodes = np.minimum(position.astype(np.int32), (outer - 1) // step - 1)
    return Axis(nodes.astype(np.int32), (position - nodes).astype(np.float32))
