"""Random photometric changes: gamma, brightness, color temperature, blur, noise and JPEG.

All random numbers come from a given generator, so that results are equal in any process.
"""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model import ConfigError
from icstream.stages.train.draws import log_uniform
from icstream.stages.train.settings import Photometric

try:
    from torchvision.transforms.v2 import functional as tv
except (ImportError, RuntimeError) as error:  # the second with another release of PyTorch
    raise ConfigError(
        "recipe.augmentation.photometric needs a torchvision that fits PyTorch"
        f" {torch.__version__}: pip install 'icstream[train]'"
    ) from error

Generator = np.random.Generator


def photographed(
    rgb_HW3: NDArray[np.uint8], changes: Photometric, rng: Generator
) -> NDArray[np.uint8]:
    """Return the image with random changes of light and camera.

    Changes are applied in the order of photography: light, lens, sensor, file. Each is applied to
    `changes.share` of the images, independently of the others.
    """
    x_3HW = torch.from_numpy(rgb_HW3).permute(2, 0, 1).contiguous()  # half again as fast
    if rng.random() < changes.share:
        x_3HW = tv.adjust_gamma(x_3HW, log_uniform(changes.gamma, rng))
    if rng.random() < changes.share:
        x_3HW = tv.adjust_brightness(x_3HW, log_uniform(changes.brightness, rng))
    if rng.random() < changes.share:
        x_3HW = _warmed(x_3HW, changes.temperature * rng.uniform(-1, 1))
    if rng.random() < changes.share:
        x_3HW = _blurred(x_3HW, changes.blur_px * rng.random())
    if rng.random() < changes.share:
        x_3HW = _noisy(x_3HW, changes.noise * rng.random(), rng)
    made_HW3 = np.ascontiguousarray(x_3HW.permute(1, 2, 0).numpy())
    if rng.random() < changes.share:
        low, high = changes.jpeg_quality
        made_HW3 = _as_jpeg(made_HW3, int(rng.integers(low, high + 1)))
    return made_HW3


def _warmed(x_3HW: torch.Tensor, strength: float) -> torch.Tensor:
    """Return the image with red multiplied by e^strength and blue divided by it."""
    gains_3 = torch.tensor([math.exp(strength), 1.0, math.exp(-strength)])
    return (x_3HW * gains_3[:, None, None]).round_().clamp_(0, 255).to(torch.uint8)


def _blurred(x_3HW: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Return the image after a Gaussian blur."""
    radius = math.ceil(3 * sigma_px)
    if radius == 0:
        return x_3HW
    blurred_3HW: torch.Tensor = tv.gaussian_blur(x_3HW, [2 * radius + 1] * 2, [sigma_px] * 2)
    return blurred_3HW


def _noisy(x_3HW: torch.Tensor, sigma: float, rng: Generator) -> torch.Tensor:
    """Return the image with Gaussian noise; `tv.gaussian_noise` draws from PyTorch's generator."""
    noise_3HW = torch.from_numpy(rng.standard_normal(x_3HW.shape, np.float32))
    return (x_3HW + 255 * sigma * noise_3HW).round_().clamp_(0, 255).to(torch.uint8)


def _as_jpeg(rgb_HW3: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the image after JPEG compression, as torchvision's codec is deprecated."""
    bgr_HW3 = cv2.cvtColor(rgb_HW3, cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", bgr_HW3, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded_HW3 = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert decoded_HW3 is not None
    return np.asarray(cv2.cvtColor(decoded_HW3, cv2.COLOR_BGR2RGB), np.uint8)
