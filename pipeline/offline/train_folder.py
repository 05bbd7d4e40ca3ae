"""The folder of a training: checks before it begins, and removal by `--overwrite`."""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from icstream.model import ConfigError
from icstream.pipeline.output import lock_output_folder, write_json
from icstream.pipeline.settings.train import TrainConfig
from icstream.stages.train.checkpointing import VALIDATIONS
from icstream.stages.train.metrics_log import BOARD, METRICS_FILE
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.state import STATE_FILE

log = logging.getLogger(__name__)

CONFIG_FILE = "config.json"

_WEIGHTS = ("best.safetensors", "last.safetensors")
_FILES = (STATE_FILE, *_WEIGHTS, METRICS_FILE, CONFIG_FILE)
_IN_FOLDERS = {VALIDATIONS: "[0-9]" * 8 + ".safetensors", BOARD: "events.out.tfevents.*"}
"""Patterns of the files that a training writes into each of its folders."""
_SETTINGS = {"batch_size", "data_workers", "input_size", "epochs", "lr"}
"""Some keys that every version of config.json has."""


class TrainFolder:
    """The folder of a training, which is exclusive once it is locked.

    Attributes:
        resume: whether there is a state to continue from.
    """

    def __init__(self, path: Path, *, resume: bool, overwrite: bool) -> None:
        """Check that the training may begin or continue there; see `check_train_folder`."""
        check_train_folder(path, resume=resume, overwrite=overwrite)
        self._path = path
        self._overwrite = overwrite
        self._held = ExitStack()
        self._is_locked = False
        self.resume = resume and not is_without_state(path)
        if resume and not self.resume:
            log.info("%s: the training there has not saved a state, so it starts over", path)

    @contextmanager
    def locked_by(self, ranks: Ranks) -> Iterator[None]:
        """Lock the folder while the context lasts; if it does not exist, `begin` creates it.

        Raises:
            ConfigError: another command writes there.
        """
        with self._held:
            if ranks.first and self._path.is_dir():
                self._lock()
            yield

    def begin(self, config: TrainConfig, ranks: Ranks) -> None:
        """Remove what is to be replaced, and write config.json; each rank must call it.

        Raises:
            ConfigError: another command is writing to the folder, or has written there meanwhile.
        """
        if ranks.first:
            if not self._is_locked:
                self._lock()
            check_train_folder(self._path, resume=self.resume, overwrite=self._overwrite)
            if self._overwrite:
                remove_earlier_training(self._path)
            write_json(config.model_dump(mode="json"), self._path / CONFIG_FILE)
        ranks.wait()

    def _lock(self) -> None:
        self._held.enter_context(lock_output_folder(self._path))
        self._is_locked = True


def check_train_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Check that a training may begin or continue in a folder, without changing anything.

    Raises:
        ConfigError: it is a file, has nothing to resume, has results that need `overwrite`, or has
            foreign files under the names of results.
    """
    if resume and overwrite:
        raise ConfigError("--overwrite and --resume contradict each other; give only one of them")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"output {out}: is a file, but a folder is needed")
    if resume:
        if not (out / STATE_FILE).exists() and not is_without_state(out):
            raise ConfigError(f"{out}: contains no {STATE_FILE}, so there is nothing to resume")
        return
    there = [
        name
        for name in (*_FILES, *_IN_FOLDERS)
        if (out / name).is_symlink() or (out / name).exists()
    ]
    foreign = [name for name in there if _is_foreign(out / name)]
    if there and not foreign and not _is_config(out / CONFIG_FILE):
        foreign = there
    if foreign:
        raise ConfigError(
            f"output {out}: contains {', '.join(foreign)}, not from a training; choose another"
            " folder"
        )
    if overwrite:
        return
    if STATE_FILE in there:
        raise ConfigError(
            f"{out}: contains a training; continue it with --resume, or replace it with --overwrite"
        )
    if weights := [name for name in (*_WEIGHTS, VALIDATIONS) if name in there]:
        raise ConfigError(
            f"{out}: contains {', '.join(weights)} of a training; choose another folder, or replace"
            " them with --overwrite"
        )


def is_without_state(out: Path) -> bool:
    """Return whether a training was started in a folder, but has not saved anything."""
    saved = (STATE_FILE, *_WEIGHTS, VALIDATIONS)
    return _is_config(out / CONFIG_FILE) and not any((out / name).exists() for name in saved)


def remove_earlier_training(out: Path) -> None:
    """Remove what a training has written into a folder, and nothing else.

    The state is removed first, so that an interrupted removal leaves nothing to resume. The
    config.json stays until the next training replaces it.
    """
    for name in (STATE_FILE, *_WEIGHTS, METRICS_FILE):
        for path in (out / name, out / f"{name}.partial"):
            path.unlink(missing_ok=True)
    for name in _IN_FOLDERS:
        for path in list(_files_in(out / name)):
            path.unlink()
        if (out / name).is_dir() and not any((out / name).iterdir()):
            (out / name).rmdir()


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files that a training wrote into one of its folders, without following links."""
    if folder.is_dir() and not folder.is_symlink():
        pattern = _IN_FOLDERS[folder.name]
        for path in (*folder.glob(pattern), *folder.glob(f"{pattern}.partial")):
            if path.is_file() and not path.is_symlink():
                yield path


def _is_foreign(path: Path) -> bool:
    """Return whether something under the name of a result is of a kind that no training creates."""
    return path.is_symlink() or (path.is_dir() if path.name in _FILES else not path.is_dir())


def _is_config(path: Path) -> bool:
    """Return whether a file is the config.json of a training."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.keys() >= _SETTINGS
