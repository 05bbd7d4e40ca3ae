"""Random light and camera."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from icstream.stages.train import Photometric
from support.trainings import has_torchvision

if not has_torchvision():
    pytest.skip("needs torchvision", allow_module_level=True)
from icstream.stages.train.photometric import photographed

NOTHING = Photometric(
    share=1, gamma=(1, 1), brightness=(1, 1), temperature=0, blur_px=0, noise=0,
    jpeg_quality=(100, 100),
)  # fmt: skip


def gray(value: int) -> NDArray[np.uint8]:
    return np.full((24, 32, 3), value, np.uint8)


def noisy(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


def changed(rgb: NDArray[np.uint8], seed: int = 0, **changes: object) -> NDArray[np.uint8]:
    settings = {name: getattr(NOTHING, name) for name in NOTHING.__dataclass_fields__}
    made = photographed(rgb, Photometric(**{**settings, **changes}), np.random.default_rng(seed))
    assert made.dtype == np.uint8
    assert made.shape == rgb.shape
    assert made.flags.c_contiguous
    return made


def test_no_share_leaves_the_image_as_it_is() -> None:
    assert (changed(noisy(), share=0) == noisy()).all()


def test_gamma_is_a_power_of_the_share_of_white() -> None:
    expected = 255 * (100 / 255) ** 2
    assert np.abs(changed(gray(100), gamma=(2, 2)).astype(int) - expected).max() <= 2


def test_brightness_multiplies_and_glare_saturates() -> None:
    assert np.abs(changed(gray(100), brightness=(0.3, 0.3)).astype(int) - 30).max() <= 2
    assert changed(gray(200), brightness=(2, 2)).min() >= 253


def test_temperature_moves_red_and_blue_apart() -> None:
    made = [changed(gray(100), seed, temperature=0.5)[0, 0].astype(float) for seed in range(20)]
    for red, green, blue in made:
        assert green == pytest.approx(100, abs=2)
        assert red * blue == pytest.approx(1e4, rel=0.05)
    assert min(red for red, _, _ in made) < 90 < 110 < max(red for red, _, _ in made)


def test_blur_smooths_and_noise_roughens() -> None:
    assert changed(noisy(), blur_px=3).std() < 0.8 * noisy().std()
    made = changed(gray(128), seed=3, noise=0.1).astype(float)
    sigma = 0.1 * 255
    assert 1 < made.std() < 1.1 * sigma
    assert made.mean() == pytest.approx(128, abs=2)


def test_jpeg_is_that_of_an_encoder_at_that_quality() -> None:
    smooth = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[None, :, None], (24, 1, 3))
    made = changed(smooth, jpeg_quality=(5, 5))
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "JPEG", quality=5)
    assert np.abs(made.astype(int) - np.array(Image.open(file))).max() <= 3


def test_the_same_draw_gives_the_same_image_and_another_one_another() -> None:
    settings = Photometric(share=1)
    one, again, other = (
        photographed(noisy(), settings, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (one == again).all()
    assert (one != other).any()


def test_each_change_happens_to_its_share() -> None:
    settings = Photometric(share=0.25)
    kept = [
        bool((photographed(noisy(), settings, np.random.default_rng(s)) == noisy()).all())
        for s in range(400)
    ]
    # Six independent changes: 0.75^6 = 0.178 of the images stay, give or take three deviations.
    assert 0.12 < np.mean(kept) < 0.24
