"""Images of any memory layout become the same inputs."""

import numpy as np
import pytest
from numpy.typing import NDArray

from icstream.model import ConfigError, Fit, prepare_input
from icstream.model.planar import copy_planes, empty_planar, interleaved, is_planar, planes

IMAGE = np.random.default_rng(0).integers(0, 256, (100, 140, 3), np.uint8)
MEAN = (124, 117, 104)


def planar(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    made = empty_planar((image.shape[0], image.shape[1]))
    copy_planes(image, made)
    return made


LAYOUTS = {
    "planar": planar(IMAGE),
    "corner of planes": np.pad(planar(IMAGE), ((0, 9), (0, 21), (0, 0)))[:100, :140],
    "corner of a canvas": empty_planar((129, 161))[:100, :140],
    "corner": np.pad(IMAGE, ((5, 5), (7, 7), (0, 0)))[5:-5, 7:-7],
    "bgr": np.ascontiguousarray(IMAGE[..., ::-1])[..., ::-1],
    "mirrored": np.ascontiguousarray(IMAGE[:, ::-1])[:, ::-1],
    "turned": np.rot90(np.ascontiguousarray(np.rot90(IMAGE)), -1),
    "column by column": np.asfortranarray(IMAGE),
}
LAYOUTS["corner of a canvas"][:] = IMAGE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "fit", [Fit(), Fit("stretch", (120, 200)), Fit("letterbox", (90, 90)), Fit(double_below=101)]
)
def test_every_layout_gives_the_same_input(layout: str, fit: Fit) -> None:
    geometry = fit.geometry((100, 140))
    wanted = prepare_input(IMAGE, geometry, MEAN)
    made = prepare_input(LAYOUTS[layout], geometry, MEAN)
    assert np.array_equal(made, wanted)
    assert made.shape == (*geometry.outer, 3)
    assert planes(made).flags.c_contiguous


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_interleaved(layout: str) -> None:
    made = interleaved(LAYOUTS[layout])
    assert np.array_equal(made, IMAGE)
    assert made.flags.c_contiguous


@pytest.mark.parametrize(
    "image",
    [IMAGE.astype(np.float32), IMAGE.astype(np.uint16), IMAGE[..., :1], IMAGE[1:]],
)
def test_what_is_no_image_is_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match=r"an \(H, W, 3\) uint8 array, here \(100, 140, 3\), got"):
        prepare_input(image, Fit().geometry((100, 140)), MEAN)


def test_planar_images_are_known() -> None:
    assert is_planar(LAYOUTS["corner of a canvas"])
    assert not is_planar(IMAGE)
