"""The comparison of an exported graph with PyTorch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from icstream.model import Checkpoint, ConfigError, Segmenter, load_weights
from icstream.stages.evaluate.exported import check_export, recorded_images, rendered_images
from support.clips import make_clip

RgbImage = NDArray[np.uint8]
SIZE = (64, 96)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_weights("streets")


@pytest.fixture(scope="module")
def segmenter(checkpoint: Checkpoint) -> Segmenter:
    return Segmenter(checkpoint, runtime="torch", device="cpu", precision="fp32")


def images() -> Iterator[RgbImage]:
    yield from list(rendered_images(SIZE))[:2]


def test_equal_masks_are_equal(checkpoint: Checkpoint, segmenter: Segmenter) -> None:
    def run(rgb_NHW3: RgbImage) -> RgbImage:
        assert rgb_NHW3.shape == (3, *SIZE, 3)
        return np.stack([segmenter(image) for image in rgb_NHW3])

    found = check_export(checkpoint, run, images(), batch=3, frames="streets")
    assert (found.num_frames, found.num_pixels) == (2, 2 * 64 * 96)
    assert (found.equal, found.near_ties, found.share) == (2 * 64 * 96, 0, 1.0)


def test_wrong_pixels_are_distinguished_from_near_ties(
    checkpoint: Checkpoint, segmenter: Segmenter
) -> None:
    def run(rgb_NHW3: RgbImage) -> RgbImage:
        ids_HW = segmenter(rgb_NHW3[0])
        # where the network is sure of the sky, a pedestrian is no near tie
        y, x = np.argwhere(ids_HW == 0)[0]
        ids_HW[y, x] = 9
        return ids_HW[None]

    found = check_export(checkpoint, run, images(), batch=1, frames="streets")
    assert (found.num_pixels - found.equal, found.near_ties) == (2, 0)
    assert found.values()["other"] == 2
    assert "2 others" in found.line()


def test_a_class_that_is_as_good_is_a_near_tie(checkpoint: Checkpoint) -> None:
    """The last class is made a copy of the road, so it is as good wherever the road wins."""
    tensors = dict(checkpoint.tensors)
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = tensors[name].clone()
        tensors[name][10] = tensors[name][3]
    doubled = Checkpoint(checkpoint.config, checkpoint.labels, tensors)
    own = Segmenter(doubled, runtime="torch", device="cpu", precision="fp32")

    def run(rgb_NHW3: RgbImage) -> RgbImage:
        ids_HW = own(rgb_NHW3[0])
        return np.where(ids_HW == 3, 10, ids_HW).astype(np.uint8)[None]

    found = check_export(doubled, run, images(), batch=1, frames="streets")
    assert found.near_ties > 100
    assert found.share == 1


def test_recordings_and_folders_are_shown_in_the_size_that_is_needed(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=tuple(range(30)))
    shown = list(recorded_images(str(clip), (80, 70)))
    assert [image.shape for image in shown] == [(80, 70, 3)] * 2  # frames 0 and 25
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((64, 96, 3), number, np.uint8)).save(folder / f"{number}.png")
    levels = [int(image.max()) for image in recorded_images(str(folder), (64, 96))]
    assert levels == [0, 1, 2]


def test_nothing_to_compare_is_an_error(checkpoint: Checkpoint, segmenter: Segmenter) -> None:
    with pytest.raises(ConfigError, match="none: no image to check"):
        check_export(checkpoint, lambda rgb_NHW3: rgb_NHW3, [], batch=1, frames="none")
