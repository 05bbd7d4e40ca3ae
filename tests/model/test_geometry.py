"""Fitting images to the network, against brute-force definitions."""

import numpy as np
import pytest

from icstream.model import ConfigError, Fit, prepare_input
from icstream.model.geometry import (
    MAX_PIXELS,
    input_fault,
    network_side,
    padded_pixels,
    pixel_fault,
)


@pytest.mark.parametrize("side", [1, 2, 32, 33, 34, 64, 65, 96, 97, 98, 540, 960, 1024, 1025, 2048])
def test_the_network_side_is_the_next_32k_plus_1(side: int) -> None:
    assert network_side(side) == next(n for n in range(side, side + 33) if n % 32 == 1)


@pytest.mark.parametrize(
    ("size", "num_pixels"),
    [
        ((1, 3_000_000), 192_000_000),
        ((3_000_000, 63), 192_000_000),
        ((64, 65), 4160),
        ((3, 4), 4096),
    ],
)
def test_thin_images_count_as_they_are_padded(size: tuple[int, int], num_pixels: int) -> None:
    assert padded_pixels(size) == num_pixels
    assert pixel_fault(size, max_pixels=num_pixels) is None
    fault = pixel_fault(size, max_pixels=num_pixels - 1)
    assert fault is not None
    assert fault.startswith(f"{size[1]}x{size[0]} pixels are more than the allowed")


def test_no_image_that_is_allowed_needs_too_large_an_input_unless_it_is_doubled() -> None:
    for short in range(1, 8193):
        size = (short, MAX_PIXELS // max(short, 64))
        assert pixel_fault(size) is None
        assert input_fault(Fit().geometry(size)) is None
    assert input_fault(Fit(double_below=8193).geometry((8192, 8192))) is not None


def test_native_keeps_every_pixel_in_its_place() -> None:
    geometry = Fit().geometry((540, 960))
    assert (geometry.inner, geometry.outer, geometry.resized) == ((540, 960), (545, 961), False)
    rows, columns = geometry.axes()
    for axis, length in ((rows, 540), (columns, 960)):
        position = axis.nodes + axis.fractions.astype(float)
        assert (position == np.arange(length) / 8).all()


@pytest.mark.parametrize("step", [4, 8, 16])
def test_nodes_may_lie_at_every_step_th_pixel(step: int) -> None:
    for fit in (Fit(), Fit("letterbox", (256, 512))):
        geometry = fit.geometry((540, 960))
        for axis, usual in zip(geometry.axes(step), geometry.axes(), strict=True):
            position = step * (axis.nodes + axis.fractions.astype(float))
            assert position == pytest.approx(8 * (usual.nodes + usual.fractions.astype(float)))
            assert (axis.fractions >= 0).all()
        assert geometry.axes(step)[0].nodes.max() <= (geometry.outer[0] - 1) // step - 1


def test_native_at_a_network_size_ends_on_the_last_node() -> None:
    rows, _ = Fit().geometry((65, 97)).axes()
    assert (rows.nodes[-1], rows.fractions[-1]) == (7, 1.0)


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("source", [(540, 960), (100, 1000), (37, 64), (1200, 700)])
def test_resizing_maps_pixel_centers(mode: str, source: tuple[int, int]) -> None:
    geometry = Fit(mode, (256, 512)).geometry(source)  # type: ignore[arg-type]
    assert geometry.outer == (257, 513)
    if mode == "stretch":
        assert geometry.inner == (256, 512)
    else:
        assert geometry.inner[0] == 256 or geometry.inner[1] == 512
        scales = np.array(geometry.inner) / source
        assert abs(scales[0] - scales[1]) < 0.02 * scales.max() + 1 / min(source)
    for axis, length, inner in zip(geometry.axes(), source, geometry.inner, strict=True):
        position = 8 * (axis.nodes + axis.fractions.astype(float))
        centers = (np.arange(length) + 0.5) * inner / length - 0.5
        assert np.abs(position - np.clip(centers, 0, inner - 1)).max() < 1e-4


@pytest.mark.parametrize(("source", "zoom"), [((360, 480), 2), ((480, 360), 2), ((480, 640), 1)])
def test_small_images_are_doubled_on_request(source: tuple[int, int], zoom: int) -> None:
    geometry = Fit(double_below=480).geometry(source)
    assert geometry.inner == (zoom * source[0], zoom * source[1])
    rows, _ = geometry.axes()
    position = 8 * (rows.nodes + rows.fractions.astype(float))
    # Pixel centers stay where they are: y + 1/2 becomes 2 (y + 1/2).
    expected = zoom * (np.arange(source[0]) + 0.5) - 0.5
    assert np.abs(position - np.clip(expected, 0, geometry.inner[0] - 1)).max() < 1e-4


def test_images_smaller_than_the_network_takes_are_padded() -> None:
    assert Fit().geometry((1, 20)).outer == (65, 65)


@pytest.mark.parametrize(
    ("mode", "size", "words"),
    [
        ("native", (512, 512), "has no size"),
        ("stretch", None, "needs a size"),
        ("letterbox", (32, 512), "at least 64"),
    ],
)
def test_errors_of_fits_name_the_fault(mode: str, size: tuple[int, int] | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Fit(mode, size)  # type: ignore[arg-type]


def test_only_native_doubles() -> None:
    with pytest.raises(ConfigError, match="has no double_below"):
        Fit("stretch", (512, 512), double_below=480)


@pytest.mark.parametrize("size", [(70, 90), (64, 64), (200, 300)])
def test_images_are_resized_bilinearly_both_ways(size: tuple[int, int]) -> None:
    source = np.random.default_rng(0).integers(0, 256, (100, 140, 3), np.uint8)
    fit = Fit("stretch", size)
    made = prepare_input(source, fit.geometry((100, 140)), (124, 117, 104))[: size[0], : size[1]]
    expected = source.astype(float)
    for axis, side in enumerate(size):
        length = source.shape[axis]
        places = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        expected = np.apply_along_axis(
            lambda line: np.interp(places, np.arange(length), line),  # noqa: B023
            axis,
            expected,
        )
    assert np.abs(made - expected).max() <= 1.5
