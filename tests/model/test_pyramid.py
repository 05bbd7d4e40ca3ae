"""Pyramid pooling against the authors' prototxt and PyTorch's adaptive pooling."""

import pytest
import torch
import torch.nn.functional as F

from icstream.model.pyramid import BINS, pooling_windows, pyramid_pooling

# (kernel, stride) for height and width of the four layers in icnet_cityscapes.prototxt
PROTOTXT = {6: ((8, 5), (15, 10)), 3: ((13, 10), (25, 20)), 2: ((17, 16), (33, 32))}
PROTOTXT[1] = ((33, 33), (65, 65))


@pytest.mark.parametrize("bins", BINS)
def test_windows_at_33x65_are_the_authors(bins: int) -> None:
    for axis, (kernel, stride) in enumerate(PROTOTXT[bins]):
        windows = pooling_windows((33, 65), bins, axis)
        assert windows == [(i * stride, i * stride + kernel) for i in range(bins)]
        assert windows[-1][1] == (33, 65)[axis]


@pytest.mark.parametrize("size", [(6, 12), (18, 31), (65, 33), (13, 16), (3, 3), (2, 7)])
def test_elsewhere_it_is_adaptive_pooling(size: tuple[int, int]) -> None:
    x = torch.randn(2, 5, *size, generator=torch.Generator().manual_seed(0))
    expected = x.clone()
    for bins in BINS:
        pooled = F.adaptive_avg_pool2d(x, (min(bins, size[0]), min(bins, size[1])))
        expected += F.interpolate(pooled, size=size, mode="bilinear", align_corners=True)
    torch.testing.assert_close(pyramid_pooling(x), expected, rtol=1e-5, atol=1e-5)


def test_the_authors_windows_are_used_at_their_size() -> None:
    x = torch.randn(1, 3, 33, 65, generator=torch.Generator().manual_seed(0))
    expected = x.clone()
    for kernel, stride in (tuple(zip(*PROTOTXT[bins], strict=True)) for bins in BINS):
        pooled = F.avg_pool2d(x, kernel, stride)
        expected += F.interpolate(pooled, size=(33, 65), mode="bilinear", align_corners=True)
    torch.testing.assert_close(pyramid_pooling(x), expected, rtol=1e-5, atol=1e-5)


def test_gradients_pass() -> None:
    x = torch.randn(1, 2, 7, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pyramid_pooling, x, atol=1e-4)
