"""The folder of a training: refused, gone on with, replaced."""

from pathlib import Path

import pytest
import torch

from icstream.model import ConfigError
from icstream.model.folder_lock import FolderLock
from icstream.pipeline.offline.train_folder import TrainFolder, remove_earlier_training
from icstream.pipeline.output import write_json
from icstream.pipeline.settings.train import TrainConfig
from icstream.stages.train.ranks import Ranks

ALONE = Ranks(rank=0, count=1, device=torch.device("cpu"))
CONFIG = TrainConfig()
RESULTS = (
    *("state.pt", "best.safetensors", "last.safetensors", "metrics.jsonl"),
    *("validations/00000001.safetensors", "tensorboard/events.out.tfevents.1.host"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return what a training leaves."""
    folder = tmp_path / "run"
    for name in RESULTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"of a training")
    write_json(CONFIG.model_dump(mode="json"), folder / "config.json")
    return folder


def refusal(folder: Path, *, resume: bool = False, overwrite: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        TrainFolder(folder, resume=resume, overwrite=overwrite)
    return str(caught.value)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_files_of_a_training_are_not_replaced_without_overwrite(run: Path) -> None:
    assert "continue it with --resume, or replace it with --overwrite" in refusal(run)
    (run / "state.pt").unlink()
    assert "contains best.safetensors, last.safetensors, validations of a training" in refusal(run)
    assert "nothing to resume" in refusal(run, resume=True)
    assert "contradict" in refusal(run, resume=True, overwrite=True)


def test_overwriting_removes_all_that_a_training_wrote_and_nothing_else(run: Path) -> None:
    mine = ("notes.txt", "tensorboard/mine.txt", "validations/mine.safetensors")
    for name in mine:
        (run / name).write_text("mine")
    folder = TrainFolder(run, resume=False, overwrite=True)
    with folder.locked_by(ALONE):
        assert (run / "state.pt").exists(), "it may still be refused"
        folder.begin(CONFIG, ALONE)
    assert files(run) == {*mine, "config.json", "tensorboard", "validations"}


@pytest.mark.parametrize("name", RESULTS[:4])
def test_a_file_that_no_training_wrote_is_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    for overwrite in (False, True):
        assert f"contains {name}, not from a training" in refusal(tmp_path, overwrite=overwrite)
    (tmp_path / "config.json").write_text('{"mine": 1}')
    assert "not from a training" in refusal(tmp_path, overwrite=True)


def test_no_link_is_followed(run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "00000001.safetensors").touch()
    (run / "validations" / "00000001.safetensors").unlink()
    (run / "validations").rmdir()
    (run / "validations").symlink_to(elsewhere)
    assert "contains validations, not from a training" in refusal(run, overwrite=True)
    remove_earlier_training(run)
    assert files(elsewhere) == {"00000001.safetensors"}


def test_a_training_that_had_saved_nothing_begins_again(tmp_path: Path) -> None:
    write_json(CONFIG.model_dump(mode="json"), tmp_path / "config.json")
    (tmp_path / "metrics.jsonl").touch()
    assert not TrainFolder(tmp_path, resume=True, overwrite=False).resume
    assert not TrainFolder(tmp_path, resume=False, overwrite=False).resume


def test_one_training_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "new"
    folder = TrainFolder(path, resume=False, overwrite=False)
    with folder.locked_by(ALONE):
        assert not path.exists(), "it may still be refused"
        folder.begin(CONFIG, ALONE)
        other = TrainFolder(path, resume=False, overwrite=True)
        with pytest.raises(ConfigError, match="in use"), other.locked_by(ALONE):
            pass
    FolderLock(path).close()
