"""The network's input less its mean equals PyTorch's, bit for bit."""

import numpy as np
import pytest
import torch

from icstream.model.subtract_mean import subtract_mean_bf16, subtract_mean_fp32


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (65, 97), (64, 64)])
@pytest.mark.parametrize("mean", [(123.68, 116.779, 103.939), (0.0, 255.0, 0.1)])
def test_the_mean_is_taken_off_as_pytorch_does(
    size: tuple[int, int], mean: tuple[float, float, float]
) -> None:
    height, width = size
    planes = np.random.default_rng(0).integers(0, 256, (3, *size), np.uint8)
    mean_3 = np.array(mean, np.float32)
    full = np.empty((height, 3 * width), np.uint16)
    half = np.empty(((height + 1) // 2, 3 * ((width + 1) // 2)), np.uint16)
    subtract_mean_bf16(planes, mean_3, full, half)
    wanted = torch.from_numpy(planes).float() - torch.from_numpy(mean_3)[:, None, None]
    bits = wanted.permute(1, 2, 0).bfloat16().contiguous().view(torch.int16).numpy()
    bits = bits.view(np.uint16)
    assert np.array_equal(full, bits.reshape(full.shape))
    assert np.array_equal(half, bits[::2, ::2].reshape(half.shape))
    full_fp32, half_fp32 = np.empty(full.shape, np.float32), np.empty(half.shape, np.float32)
    subtract_mean_fp32(planes, mean_3, full_fp32, half_fp32)
    values = wanted.permute(1, 2, 0).numpy()
    assert np.array_equal(full_fp32, values.reshape(full.shape))
    assert np.array_equal(half_fp32, values[::2, ::2].reshape(half.shape))
