"""The configuration of ICNet, without PyTorch."""

from dataclasses import dataclass
from typing import Literal, get_args

from icstream.model.errors import ConfigError
from icstream.model.labels import MAX_CLASSES

Variant = Literal["paper", "supervisely"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ICNetConfig:
    """The configuration of the network."""

    num_classes: int
    variant: Variant = "paper"
    """The convolution of conv3_1 that has stride 2: the first 1x1 (paper) or the 3x3
    (supervisely)."""
    width: float = 0.5
    """The share of the full network's channels, 1/64 to 4; the released one has half."""
    use_batchnorm: bool = True
    """Whether convolutions have batch norm; otherwise they have a bias."""

    def __post_init__(self) -> None:
        if not 2 <= self.num_classes <= MAX_CLASSES:
            raise ConfigError(f"num_classes: got {self.num_classes}, allowed are 2..{MAX_CLASSES}")
        if self.variant not in get_args(Variant):
            raise ConfigError(
                f"variant: got {self.variant!r}, allowed are {', '.join(get_args(Variant))}"
            )
        if not 1 / 64 <= self.width <= 4:
            raise ConfigError(f"width: got {self.width}, allowed are 1/64 to 4")

    @property
    def channels(self) -> tuple[int, int, int, int, int]:
        """The output channels of the stages conv1 to conv5."""
        c1, c2, c3, c4, c5 = (max(1, round(c * self.width)) for c in (128, 256, 512, 1024, 2048))
        return c1, c2, c3, c4, c5
