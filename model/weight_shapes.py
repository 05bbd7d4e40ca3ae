"""The names and shapes of the network's tensors, without building it.

A checkpoint is thus checked in a millisecond, while importing PyTorch alone takes seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from icstream.model.icnet_config import ICNetConfig

_MAX_NAMED = 5
"""The number of tensors that an error names before "and N more"."""


class _Convolution(NamedTuple):
    name: str
    c_in: int
    c_out: int
    kernel: int = 1
    is_head: bool = False
    """Whether it is a head, which has a bias and no batch norm."""


def needed_shapes(config: ICNetConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of `ICNet(config)` by name, except the step counters."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, c_in, c_out, kernel, is_head in _convolutions(config):
        conv = name if is_head else f"{name}.conv"
        shapes[f"{conv}.weight"] = (c_out, c_in, kernel, kernel)
        if is_head or not config.use_batchnorm:
            shapes[f"{conv}.bias"] = (c_out,)
        else:
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}.norm.{part}"] = (c_out,)
    return shapes


def is_weight(name: str) -> bool:
    """Return whether a tensor of the network's state belongs in a checkpoint."""
    return not name.endswith("num_batches_tracked")


def shape_faults(got: Mapping[str, tuple[int, ...]], config: ICNetConfig) -> list[str]:
    """Return a clause for each mismatch between tensors of these shapes and the network."""
    needed = needed_shapes(config)
    wrong = [
        f"{name} is {shape_text(got[name])}, the network has {shape_text(needed[name])}"
        for name in needed
        if name in got and got[name] != needed[name]
    ]
    clauses = (
        ("missing", [name for name in needed if name not in got]),
        ("unknown", [name for name in got if name not in needed]),
        ("of another shape:", wrong),
    )
    return [_clause(title, names) for title, names in clauses if names]


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as text, for example "64x3x3x3"."""
    return "x".join(map(str, shape)) or "a scalar"


def _convolutions(config: ICNetConfig) -> Iterator[_Convolution]:
    """Yield the convolutions in the order of `ICNet`."""
    c1, c2, c3, c4, c5 = config.channels
    yield _Convolution("conv1_1", 3, c1 // 2, 3)
    yield _Convolution("conv1_2", c1 // 2, c1 // 2, 3)
    yield _Convolution("conv1_3", c1 // 2, c1, 3)
    yield from _bottlenecks("conv2", 3, c1, c1 // 2, c2)
    yield from _bottleneck("conv3_1", c2, c1, c3)
    yield from _bottlenecks("conv3", 3, c3, c1, c3)
    yield from _bottlenecks("conv4", 6, c3, c2, c4)
    yield from _bottlenecks("conv5", 3, c4, c3, c5)
    yield _Convolution("conv5_4", c5, c3)
    yield _Convolution("conv1_sub1", 3, c1 // 2, 3)
    yield _Convolution("conv2_sub1", c1 // 2, c1 // 2, 3)
    yield _Convolution("conv3_sub1", c1 // 2, c1, 3)
    for name, c_low, c_high in (("cff24", c3, c3), ("cff12", c2, c1)):
        yield _Convolution(f"{name}.low", c_low, c2, 3)
        yield _Convolution(f"{name}.high", c_high, c2)
        yield _Convolution(f"{name}.aux", c_low, config.num_classes, is_head=True)
    yield _Convolution("classifier", c2, config.num_classes, is_head=True)


def _bottlenecks(
    stage: str, count: int, c_in: int, c_mid: int, c_out: int
) -> Iterator[_Convolution]:
    for i in range(count):
        yield from _bottleneck(f"{stage}.{i}", c_in if i == 0 else c_out, c_mid, c_out)


def _bottleneck(name: str, c_in: int, c_mid: int, c_out: int) -> Iterator[_Convolution]:
    yield _Convolution(f"{name}.reduce", c_in, c_mid)
    yield _Convolution(f"{name}.conv3x3", c_mid, c_mid, 3)
    yield _Convolution(f"{name}.increase", c_mid, c_out)
    if c_in != c_out:
        yield _Convolution(f"{name}.proj", c_in, c_out)


def _clause(title: str, names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{title} {', '.join(names[:_MAX_NAMED])}{more}"
