"""Every command and every snippet in README.md and docs/ works as it stands.

A command is run in a folder with all that it names, unless it is in `CHECKED`, `ELSEWHERE` or
`NOT_OURS`; one whose program is in none of them fails the tests.
"""

import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import typer.main
import yaml
from typer.core import TyperCommand

from icstream.pipeline.cli.main import app
from icstream.pipeline.settings.run import load_config
from icstream.pipeline.settings.train import load_train_config
from icstream.stages.decode.find import own_sources
from icstream.stages.sinks import registry
from support.clips import require_program
from support.commands import COMMAND, call
from support.doc_commands import (
    ROOT,
    Block,
    Command,
    blocks,
    commands,
    inline_commands,
)
from support.doc_folder import make_folder, write_cameras
from support.live_servers import free_port, rtsp_camera

CHECKED = {
    r"icstream bench": "it takes minutes; tests/pipeline/cli runs it",
    r"icstream export": "it takes seconds; tests/pipeline/cli/test_export.py runs it",
    r"icstream serve": "it runs until it is stopped; tests/pipeline/serve runs it",
    r"icstream train (train_\w+|CONFIG|all.yaml)": "it trains for hours; own-classes.md is run",
    r"torchrun .* -m icstream.pipeline train": "likewise; tests/stages/train runs two ranks",
    r"icstream run 0\b": "it needs a camera",
    r"icstream run '?rtsp:": "it needs a camera; cameras.yaml is run with one",
    r"icstream run .*--view": "it waits for a browser; tests/pipeline/view runs it",
    r"icstream run street:7|.*--sink road_alarm": "tests/test_examples.py runs it",
    r"icstream run drive.mp4( -o out| -c dashcam|.* --sink (areas|rle)|.* --sink class_share --set)"
    r"(?! *$)": "as `icstream run drive.mp4 -o out`, with options that tests/pipeline/run runs",
    r"icstream run drive.mp4 --weights": "likewise",
    r"icstream run recordings/": "as `icstream run recordings`",
    r"python (benchmarks|tests)/": "it takes minutes",
}
"""Commands that are read with all their options, up to where the work would begin, and why."""

ELSEWHERE = {r"curl ": "tests/pipeline/serve/test_docs.py runs it"}

SNIPPETS_ELSEWHERE = {"docs/serve.md": "tests/pipeline/serve/test_docs.py runs them"}

NOT_OURS = {
    r"make (demo|test|check)": ".ci/run runs it",
    r"(\S+/)?(python3 -m venv|pip install)": "it downloads packages; make setup does the same",
    r"ffmpeg -re ": "it sends until it is stopped",
    r"docker ": "needs Docker; tests/test_containers.py follows the steps",
    r"export ": "sets variables for docker",
}

REPLACED = {
    "--view ": "--view --view-address 127.0.0.1:0 ",
    "127.0.0.1:9000": "127.0.0.1:0",
}
"""Addresses that others may use."""

TINY = (
    *("--set", "epochs=1", "--set", "input_size={width: 65, height: 65}", "--set", "seed=1"),
    *("--set", "data_workers={train: 0, val: 0}", "--set", "batch_size={train: 2, val: 1}"),
)
"""Options that make a training short."""

WORK = {
    "run": "icstream.pipeline.run.run.launch",
    "export": "icstream.model.export.export.export_model",
    "bench": "icstream.pipeline.diagnostics.bench.measure_speed",
    "serve": "icstream.pipeline.serve.server.run_service",
    "train": "icstream.pipeline.offline.train.run_training",
}
"""Where the work of a command begins."""

PATIENCE_S = 300


class ReachedError(Exception):
    """A command has read all that it was given, and would begin to work."""


def matches(command: Command, table: dict[str, str]) -> bool:
    return any(re.match(pattern, command.text) for pattern in table)


def unique(found: list[Command]) -> list[Command]:
    """Return the first of all commands that are the same."""
    return list({command.text: command for command in reversed(found)}.values())[::-1]


OTHERS = [command for command in commands() if not matches(command, CHECKED | ELSEWHERE | NOT_OURS)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "folder"
    folder.mkdir()
    make_folder(folder)
    return folder


def _copied(source: str, target: str) -> None:
    """Copy a file; large ones, which are replaced and never changed, are linked."""
    if Path(source).stat().st_size > 100_000:
        os.link(source, target)
    else:
        shutil.copy(source, target)


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with all that commands name, in which they run."""
    copy = tmp_path / "folder"
    shutil.copytree(prepared, copy, symlinks=True, copy_function=_copied)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("CAMERA_LOGIN", "me:secret")
    monkeypatch.setenv("PASSWORD", "secret")
    monkeypatch.syspath_prepend(str(copy / "site"))
    monkeypatch.setenv("PYTHONPATH", str(copy / "site"))
    _forget_plugins()
    yield copy
    _forget_plugins()


def _forget_plugins() -> None:
    """Have those that are installed looked up again."""
    registry._plugins.cache_clear()
    own_sources.cache_clear()


def as_run(text: str) -> str:
    for documented, ours in REPLACED.items():
        text = text.replace(documented, ours)
    return text


def words_of(command: Command) -> list[str]:
    """Return the arguments of icstream."""
    words = shlex.split(as_run(command.text))
    if words[0] == "torchrun":
        return words[words.index("icstream.pipeline") + 1 :]
    return words[1:]


@pytest.mark.parametrize(
    "command", unique([c for c in commands() if matches(c, CHECKED)]), ids=lambda c: c.text[:60]
)
def test_a_long_command_can_be_read(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command.program == "python":
        script, *words = shlex.split(command.text)[1:]
        text = (ROOT / script).read_text()
        assert all(f'"{word}"' in text for word in words if word.startswith("-"))
        return
    words = words_of(command)

    def reached(*_: object, **__: object) -> NoReturn:
        raise ReachedError

    module, _, function = WORK[words[0]].rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), function, reached)
    with pytest.raises(ReachedError):
        assert call(*words) is None  # shows what it refused


def run_in_shell(text: str) -> None:
    """Run a command that is not ours."""
    require_program(text.split()[0])
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", unique(OTHERS), ids=lambda c: c.text[:60])
def test_a_command_runs(command: Command, folder: Path) -> None:
    text = as_run(command.text)
    if command.program == "icstream":
        words = words_of(command)
        if "cameras.yaml" in words:
            run_cameras(words, folder)
            return
        remove_output(words, folder)
        done = call(*words, *(TINY if words[0] == "train" else ()))
        assert done.returncode == 0, done.stderr
        check_written(words, folder)
    elif command.program == "python":
        done = subprocess.run(
            [sys.executable, *shlex.split(text)[1:]], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    else:
        assert command.program in ("ffmpeg", "mkdir"), f"{command}: nothing says how to test it"
        run_in_shell(text)


def remove_output(words: list[str], folder: Path) -> None:
    """Remove what is there already of the results, as other commands need them."""
    if "-o" in words:
        out = folder / words[words.index("-o") + 1]
        if out.is_dir():
            shutil.rmtree(out)
        out.unlink(missing_ok=True)


def check_written(words: list[str], folder: Path) -> None:
    """What a command was asked to write must be there."""
    if "-o" in words:
        assert (folder / words[words.index("-o") + 1]).exists()
    if words[0] == "run":
        out = folder / words[words.index("-o") + 1]
        report = json.loads((out / "report.json").read_text())
        for name, stream in report["streams"].items():
            for sink, parts in stream["parts"].items():
                assert parts, (name, sink)
                assert (out / name / parts[0]["file"]).exists()


def run_cameras(words: list[str], folder: Path) -> None:
    """Run cameras until each has a mask, then stop them."""
    port = free_port()
    write_cameras(folder, port=port)
    gate = folder / "out" / "gate" / "masks.mp4"
    desk = folder / "out" / "desk" / "masks.mp4"
    with (
        rtsp_camera(port, "--size", "96x64", "--login", "me:secret"),
        subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not (gate.exists() and desk.exists()) and time.monotonic() < deadline:
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 143, said
    streams = json.loads((folder / "out" / "report.json").read_text())["streams"]
    assert all(stream["closed"] and stream["parts"]["masks"] for stream in streams.values()), said
    assert "secret" not in said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under numpy 2
@pytest.mark.parametrize(
    "block",
    [b for b in blocks() if b.language == "python" and b.page not in SNIPPETS_ELSEWHERE],
    ids=str,
)
def test_a_snippet_runs(block: Block, folder: Path) -> None:
    compiled = compile(block.text, str(block), "exec")
    names = NAMES[block.page](folder, block.text) if block.page in NAMES else {}
    exec(compiled, {"__name__": "__main__", **names})
    if "socket" in names:
        names["socket"].close()


def _annotating(folder: Path, _text: str) -> dict[str, Any]:
    size = {"height": 64, "width": 96}
    return {
        "rgb": np.zeros((64, 96, 3), np.uint8),
        "annotation": {"description": "", "size": size, "tags": [], "objects": []},
        "meta": {"classes": [], "tags": [], "projectType": "images"},
        "scores": lambda crop: np.eye(3, dtype=np.float32)[
            np.ones(crop.shape[:2], np.intp)
        ].transpose(2, 0, 1),
    }


def _evaluating(folder: Path, _text: str) -> dict[str, Any]:
    (folder / "run").symlink_to(folder / "runs" / "mine")
    (folder / "camvid").symlink_to(folder / "CAMVID")
    return {}


def _outputs(folder: Path, text: str) -> dict[str, Any]:
    if "pycocotools" in text:
        from pycocotools import mask

        run_lengths = mask.encode(np.asfortranarray(np.eye(4, dtype=np.uint8)))
        counts = run_lengths["counts"].decode()
        return {"line": {"size": [4, 4], "classes": [{"id": 3, "counts": counts}]}}
    if "report.json" in text:
        assert (
            call("run", folder / "drive.mp4", "--weights", "streets", "-o", "out").returncode == 0
        )
        return {}
    (folder / "out" / "drive").mkdir(parents=True)
    shutil.copy(folder / "drive.mp4", folder / "out" / "drive" / "masks.mp4")
    return {}


def _own_classes(folder: Path, _text: str) -> dict[str, Any]:
    shutil.copytree(folder / "mine" / "images", folder / "colored")
    return {}


def _keys(folder: Path, text: str) -> dict[str, Any]:
    import zmq.auth

    for name in ("keys", "clients"):
        (folder / name).mkdir()
    if "socket" not in text:
        return {}
    for name in ("reader", "publisher"):
        zmq.auth.create_certificates(str(folder), name)
    return {"zmq": zmq, "socket": zmq.Context.instance().socket(zmq.SUB)}


def _image(folder: Path, _text: str) -> dict[str, Any]:
    return {"image": np.zeros((64, 96, 3), np.uint8)}


NAMES: dict[str, Callable[[Path, str], dict[str, Any]]] = {
    "docs/annotate.md": _annotating,
    "docs/evaluation.md": _evaluating,
    "docs/live-view.md": _keys,
    "docs/outputs.md": _outputs,
    "docs/own-classes.md": _own_classes,
    "docs/recordings.md": _image,
}
"""What the snippets of a page take for granted, by the page."""


@pytest.mark.parametrize(
    "block", [b for b in blocks() if b.language in ("yaml", "json", "toml")], ids=str
)
def test_a_file_can_be_read(block: Block, tmp_path: Path) -> None:
    if block.language == "json":
        json.loads(block.text)
        return
    if block.language == "toml":
        tomllib.loads(block.text)
        return
    file = tmp_path / "settings.yaml"
    file.write_text(block.text)
    if "epochs" in yaml.safe_load(block.text):
        load_train_config(str(file), ())
    else:
        load_config(str(file), (), {})


@pytest.mark.parametrize("command", unique(inline_commands()), ids=lambda c: c.text)
def test_a_command_in_a_sentence_has_its_options(command: Command) -> None:
    _, *words = shlex.split(command.text)
    found: Any = typer.main.get_command(app)
    while words and not isinstance(found, TyperCommand) and not words[0].startswith("-"):
        found = found.commands[words.pop(0)]
    known = {option for parameter in found.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("-") and word != "-"} <= known


def test_what_is_not_run_is_still_there() -> None:
    texts = [command.text for command in commands()]
    for table in (CHECKED, ELSEWHERE, NOT_OURS):
        for pattern in table:
            assert any(re.match(pattern, text) for text in texts), pattern
