"""The settings of `icstream annotate`: both versions of the plugin's inference configuration."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, create_model

from icstream.model.errors import ConfigError
from icstream.pipeline.settings.loader import Settings, check, read_settings
from icstream.stages.annotate.mode_parser import resolve_mode
from icstream.stages.annotate.modes import (
    MODES,
    Bboxes,
    FullImage,
    InferenceSettings,
    Roi,
    SlidingWindow,
    SlidingWindowDet,
)

_REFUSALS = {
    "model.existing_objects": (
        "only version 1 had this key, with save_classes and add_suffix; use"
        " mode.existing_objects: keep, replace or merge"
    )
}


class AnnotateConfig(Settings):
    """All settings of `icstream annotate`."""

    model: InferenceSettings = InferenceSettings()
    """Inference device and score threshold."""
    mode: Annotated[
        FullImage | Roi | Bboxes | SlidingWindow | SlidingWindowDet, Field(discriminator="name")
    ] = FullImage()
    """Parts of an image on which the network runs, and how the found classes are saved."""


_SCHEMAS = {
    name: create_model(
        "AnnotateConfig",
        __base__=AnnotateConfig,
        __doc__=AnnotateConfig.__doc__,
        mode=(schema, schema()),
    )
    for name, schema in MODES.items()
}
"""One schema for each mode, so that errors name the paths and the nearest keys of that mode."""


def load_annotate_config(file: str | None) -> AnnotateConfig:
    """Return the configuration.

    Args:
        file: a JSON or YAML file, or the name of a preset; None for the defaults.

    Raises:
        ConfigError: some settings are invalid; the error has a clause with the path of each.
    """
    values = {} if file is None else read_settings(file, kind="annotate")
    return build_annotate_config(values, origin=file)


def build_annotate_config(values: Mapping[str, Any], *, origin: str | None) -> AnnotateConfig:
    """Return the configuration from values of either version; see `load_annotate_config`."""
    errors: list[str] = []
    merged = dict(values) if "model" in values else _converted(values, errors)
    mode = merged.get("mode", {"name": "full_image"})
    if not isinstance(mode, Mapping):
        return check(AnnotateConfig, merged, origin=origin, errors=errors)
    try:
        resolved = resolve_mode(mode)
    except ConfigError as error:
        # The rest is still checked, so that all errors are reported at once.
        rest = {key: value for key, value in merged.items() if key != "mode"}
        return check(AnnotateConfig, rest, origin=origin, errors=[*errors, str(error)])
    merged["mode"] = resolved.values
    schema = _SCHEMAS[str(resolved.values["name"])]
    return check(schema, merged, origin=origin, errors=errors, refusals=_REFUSALS)


def _converted(values: Mapping[str, Any], errors: list[str]) -> dict[str, Any]:
    """Return a configuration of version 1, which has no `model`, in the form of version 2."""
    rest = dict(values)
    given = rest.pop("mode", {})
    if not isinstance(given, Mapping):
        return {"mode": given}
    mode = dict(given)
    if "source" in mode:
        if "name" in mode:
            errors.append("mode.source: version 1's name of mode.name, which is also given")
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
    """Return the setting that replaces version 1's renamer of existing objects, or None."""
    if not isinstance(renamer, Mapping) or renamer.get("add_suffix", "") != "":
        return None
    saved = renamer.get("save_classes", "__all__")
    return "replace" if saved == [] else "keep" if saved == "__all__" else None
