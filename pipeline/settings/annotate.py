"""The settings of `icstream annotate`: the plugin's inference configuration, both versions."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model

from icstream.model.errors import ConfigError
from icstream.pipeline.settings.loader import Settings, check, read_settings
from icstream.stages.annotate.modes import (
    MODES,
    Bboxes,
    FullImage,
    Roi,
    SlidingWindow,
    SlidingWindowDet,
)
from icstream.stages.annotate.parse_mode import resolve_mode

_REFUSALS = {
    "model.existing_objects": (
        "only version 1 had it there, with save_classes and add_suffix; write"
        " mode.existing_objects: keep, replace or merge"
    )
}


class InferenceSettings(Settings):
    """What runs the network, and when its word counts."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    gpu_device: int = Field(0, ge=0)
    """The CUDA device; without CUDA the processor is taken. --device wins over it."""
    min_score_threshold: float = Field(0.0, ge=0, le=1)
    """A pixel whose best class has a lower score stays unlabelled."""


class AnnotateConfig(Settings):
    """All settings of `icstream annotate`."""

    model: InferenceSettings = InferenceSettings()
    """What runs the network."""
    mode: Annotated[
        FullImage | Roi | Bboxes | SlidingWindow | SlidingWindowDet, Field(discriminator="name")
    ] = FullImage()
    """How images are looked at."""


_SCHEMAS = {
    name: create_model(
        "AnnotateConfig",
        __base__=AnnotateConfig,
        __doc__=AnnotateConfig.__doc__,
        mode=(schema, schema()),
    )
    for name, schema in MODES.items()
}
"""One for each mode, so that the path of a fault and the nearest key are those of that mode."""


def load_annotate_config(file: str | None) -> AnnotateConfig:
    """Builds the configuration.

    Args:
        file: a JSON or YAML file, or the name of a ready-made configuration; None: the defaults.

    Raises:
        ConfigError: every fault at once, one clause each, with its path.
    """
    values = {} if file is None else read_settings(file, kind="annotate")
    return build_annotate_config(values, origin=file)


def build_annotate_config(values: Mapping[str, Any], *, origin: str | None) -> AnnotateConfig:
    """Checks values of either version; see `load_annotate_config`."""
    faults: list[str] = []
    merged = dict(values) if "model" in values else _converted(values, faults)
    mode = merged.get("mode", {"name": "full_image"})
    if not isinstance(mode, Mapping):
        return check(AnnotateConfig, merged, origin=origin, faults=faults)
    try:
        resolved = resolve_mode(mode)
    except ConfigError as error:
        # The rest is looked at all the same, so that every fault is told at once.
        rest = {key: value for key, value in merged.items() if key != "mode"}
        return check(AnnotateConfig, rest, origin=origin, faults=[*faults, str(error)])
    merged["mode"] = resolved.values
    schema = _SCHEMAS[str(resolved.values["name"])]
    return check(schema, merged, origin=origin, faults=faults, refusals=_REFUSALS)


def _converted(values: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """Gives a configuration of version 1, which has no `model`, as one of version 2."""
    rest = dict(values)
    given = rest.pop("mode", {})
    if not isinstance(given, Mapping):
        return {"mode": given}
    mode = dict(given)
    if "source" in mode:
        if "name" in mode:
            faults.append("mode.source: version 1's word for mode.name, which is there too")
        mode["name"] = mode.pop("source")
    if "model_classes" in rest:
        mode["model_classes"] = rest.pop("model_classes")
    if "existing_objects" in rest:
        kept = _kept(rest["existing_objects"])
        if kept is not None:
            rest.pop("existing_objects")
            mode["existing_objects"] = kept
    if mode and "name" not in mode:
        mode["name"] = "full_image"
    return {"model": rest, **({"mode": mode} if mode else {})}


def _kept(renamer: object) -> str | None:
    """Gives version 1's renamer of existing objects as a word; None if none means the same."""
    if not isinstance(renamer, Mapping) or renamer.get("add_suffix", "") != "":
        return None
    saved = renamer.get("save_classes", "__all__")
    return "replace" if saved == [] else "keep" if saved == "__all__" else None
