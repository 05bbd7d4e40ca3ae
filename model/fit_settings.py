"""How a user asks for a fit: as the weights were trained, or by a rule of one's own."""

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
    """How images are fitted to the network's input."""

    mode: Literal["auto", "native", "stretch", "letterbox"] = "auto"
    """auto fits as the weights were trained; native pads every image to the network's next size;
    stretch and letterbox resize it to `width` and `height`, and the mask back."""
    width: Side | None = None
    """Width in pixels, for stretch and letterbox."""
    height: Side | None = None
    """Height in pixels, for stretch and letterbox."""
    double_below: Annotated[int, Limits(ge=0, le=MAX_DOUBLE_BELOW)] = 0
    """native shows images whose shorter side has fewer pixels than this twice as large."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {
        "size": OldKey(("width", "height"), _read_size, _write_size)
    }

    def fit(self) -> Fit | None:
        """Return the rule; None for that of the checkpoint.

        Raises:
            ConfigError: the settings contradict one another.
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
