"""Runs within little memory: what does not fit fails alone, and nothing else does."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.runs import run_pipeline

pytestmark = pytest.mark.slow

SMALL, LARGE = (64, 96), (1500, 1500)


def make_folder(path: Path, *sizes: tuple[int, int]) -> Path:
    path.mkdir()
    for index, size in enumerate(sizes):
        Image.fromarray(np.full((*size, 3), 40 + index, np.uint8)).save(path / f"{index}.png")
    return path


def test_an_image_for_which_there_is_no_memory_fails_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "images", LARGE, SMALL, SMALL, LARGE, SMALL, (80, 120))
    # An image of 1500x1500 takes 3 x 1500 x 1500 bytes, its input as many once more.
    result = run_pipeline(folder, tmp_path / "out", sinks=["png"], pipeline__memory_mb=12)
    (stream,) = result.streams
    assert (result.exit_code, result.num_restarts, stream.faults()) == (3, 0, [])
    assert stream.accounting.failed == {"not enough memory": 2}
    written = sorted(path.name for path in (tmp_path / "out" / "images" / "masks").glob("*.png"))
    assert written == ["1.png", "2.png", "4.png", "5.png"]
    whole = run_pipeline(folder, tmp_path / "whole", sinks=["png"])
    assert whole.exit_code == 0
    for name in written:
        masks = [tmp_path / out / "images" / "masks" / name for out in ("out", "whole")]
        assert masks[0].read_bytes() == masks[1].read_bytes()
