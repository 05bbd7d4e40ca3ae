"""The settings of how images are fitted to the network's input."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from icstream.model.errors import ConfigError
from icstream.model.geometry import MAX_DOUBLE_BELOW, Fit
from icstream.model.settings_base import Limits, OldKey, SettingsBase
from icstream.model.size_text import parse_any_size

Side = Annotated[int, Limits(ge=1)]


def _read_size(value: Any) -> Mapping[str, Any]:
    size = parse_any_size(value, order="HEIGHTxWIDTH")
    if size is None:
        return {"width": None, "height": None}
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError("a size is HEIGHTxWIDTH, for example 720x1280")
    return {"width": size[1], "height": size[0]}


def _write_size(values: Mapping[str, Any]) -> Any:
    size = [values["height"], values["width"]]
    return None if size == [None, None] else size


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings(SettingsBase):
    """Settings of how images are fitted to the network's input."""

    mode: Literal["auto", "native", "stretch", "letterbox"] = "auto"
    """The fit of images: auto as the weights were trained; native pads to the network's next size;
    stretch and letterbox resize to `width` and `height`, and the mask back."""
    width: Side | None = None
    """Width in pixels, for stretch and letterbox."""
    height: Side | None = None
    """Height in pixels, for stretch and letterbox."""
    double_below: Annotated[int, Limits(ge=0, le=MAX_DOUBLE_BELOW)] = 0
    """Shorter side, in pixels, below which the mode native doubles images."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {
        "size": OldKey(("width", "height"), _read_size, _write_size)
    }

    def fit(self) -> Fit | None:
        """Return the fit, or None for that of the checkpoint.

        Raises:
            ConfigError: The settings contradict one another.
        """
        if (self.width is None) != (self.height is None):
            raise ConfigError("fit.width and fit.height are needed together")
        size = None
        if self.width is not None and self.height is not None:
            size = (self.height, self.width)
        if self.mode != "auto":
            return Fit(self.mode, size, self.double_below)
        if size is not None or self.double_below:
            raise ConfigError("fit.width, fit.height and fit.double_below need fit.mode")
        return None
