"""One default for one thing, wherever it can be set."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from icstream.model import Segmenter
from icstream.model.export.export import open_exported
from icstream.model.runtimes import select_runtime
from icstream.pipeline import segment
from icstream.pipeline.cli.annotate import annotate_command
from icstream.pipeline.cli.evaluate import evaluate_command
from icstream.pipeline.cli.export import export_command
from icstream.pipeline.cli.quantize import quantize_command
from icstream.pipeline.offline.annotate import annotate_project
from icstream.pipeline.settings.loader import preset_names
from icstream.pipeline.settings.run import RunConfig, load_config
from icstream.pipeline.settings.serve import load_serve_config
from icstream.stages.evaluate import measure_agreement


@pytest.mark.parametrize(
    "function",
    [
        segment,
        Segmenter.__init__,
        select_runtime,
        open_exported,
        measure_agreement,
        annotate_project,
        annotate_command,
        evaluate_command,
        export_command,
        quantize_command,
    ],
)
def test_threads_are_one_in_every_function(function: Callable[..., Any]) -> None:
    assert inspect.signature(function).parameters["threads"].default == 1


def test_threads_are_one_in_all_settings() -> None:
    assert RunConfig().model.threads == 1
    assert load_serve_config(None, (), {}).model.threads == 1
    for name in preset_names():
        assert load_config(name, (), {}).model.threads == 1


def test_presets_change_what_their_comments_state() -> None:
    usual = RunConfig()
    camera, dashcam = (load_config(name, (), {}) for name in ("camera", "dashcam"))
    output = usual.output.model_copy(update={"sinks": ["masks", "areas"]})
    pipeline = usual.pipeline.model_copy(update={"window": 4})
    assert camera == usual.model_copy(update={"output": output, "pipeline": pipeline})
    output = usual.output.model_copy(update={"sinks": ["masks", "overlay"]})
    pipeline = usual.pipeline.model_copy(update={"policy": "every_frame"})
    assert dashcam == usual.model_copy(update={"output": output, "pipeline": pipeline})
