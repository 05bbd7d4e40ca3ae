"""Pictures of any memory layout become the same inputs."""

import numpy as np
import pytest
from numpy.typing import NDArray

from icstream.model import ConfigError, Fit, prepare
from icstream.model.planar import copy_planes, empty_planar, interleaved, is_planar, planes

PICTURE = np.random.default_rng(0).integers(0, 256, (100, 140, 3), np.uint8)
MEAN = (124, 117, 104)


def planar(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    made = empty_planar((picture.shape[0], picture.shape[1]))
    copy_planes(picture, made)
    return made


LAYOUTS = {
    "planar": planar(PICTURE),
    "corner of planes": np.pad(planar(PICTURE), ((0, 9), (0, 21), (0, 0)))[:100, :140],
    "corner of a canvas": empty_planar((129, 161))[:100, :140],
    "corner": np.pad(PICTURE, ((5, 5), (7, 7), (0, 0)))[5:-5, 7:-7],
    "bgr": np.ascontiguousarray(PICTURE[..., ::-1])[..., ::-1],
    "mirrored": np.ascontiguousarray(PICTURE[:, ::-1])[:, ::-1],
    "turned": np.rot90(np.ascontiguousarray(np.rot90(PICTURE)), -1),
    "column by column": np.asfortranarray(PICTURE),
}
LAYOUTS["corner of a canvas"][:] = PICTURE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "fit", [Fit(), Fit("stretch", (120, 200)), Fit("letterbox", (90, 90)), Fit(double_below=101)]
)
def test_every_layout_gives_the_same_input(layout: str, fit: Fit) -> None:
    geometry = fit.geometry((100, 140))
    wanted = prepare(PICTURE, geometry, MEAN)
    made = prepare(LAYOUTS[layout], geometry, MEAN)
    assert np.array_equal(made, wanted)
    assert made.shape == (*geometry.outer, 3)
    assert planes(made).flags.c_contiguous


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_interleaved(layout: str) -> None:
    made = interleaved(LAYOUTS[layout])
    assert np.array_equal(made, PICTURE)
    assert made.flags.c_contiguous


@pytest.mark.parametrize(
    "picture",
    [PICTURE.astype(np.float32), PICTURE.astype(np.uint16), PICTURE[..., :1], PICTURE[1:]],
)
def test_what_is_no_picture_is_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match=r"an \(H, W, 3\) uint8 array, here \(100, 140, 3\), got"):
        prepare(picture, Fit().geometry((100, 140)), MEAN)


def test_planar_pictures_are_known() -> None:
    assert is_planar(LAYOUTS["corner of a canvas"])
    assert not is_planar(PICTURE)
