"""Rendered streets: deterministic, plausible, and in step with their clips."""

from pathlib import Path

import av
import numpy as np
import pytest

from icstream.model import CAMVID, ConfigError
from icstream.stages.streets import TIME_BASE, Street, write_clip

SKY, BUILDING, ROAD = 0, 1, 3


def test_rendering_is_a_function_of_seed_size_and_time() -> None:
    street = Street(4)
    first = street.render(2.5)
    street.render(100.0)
    again = Street(4).render(2.5)
    for one, other in zip(first, again, strict=True):
        assert (one == other).all()
    assert first[0].shape == (360, 480, 3)
    assert first[1].shape == (360, 480)


def test_seeds_and_times_give_other_images() -> None:
    image, ids = Street(0).render(0)
    assert (Street(0).render(0.04)[0] != image).mean() > 0.5
    assert (Street(1).render(0)[1] != ids).mean() > 0.1
    assert (Street(0).render(30)[1] != ids).mean() > 0.05


def test_every_class_occurs_and_nothing_else() -> None:
    seen = np.zeros(256, np.int64)
    for seed in range(8):
        seen += np.bincount(Street(seed).render(7.0 * seed)[1].ravel(), minlength=256)
    shares = seen / seen.sum()
    assert (shares[: len(CAMVID)] > 0.001).all()
    assert not shares[len(CAMVID) :].any()


@pytest.mark.parametrize("seed", range(6))
def test_things_are_where_they_belong(seed: int) -> None:
    _, ids = Street(seed).render(12.0)
    rows = {
        name: np.nonzero(ids == i)[0].mean()
        for i, name in enumerate(CAMVID.names)
        if (ids == i).any()
    }
    assert rows["Sky"] < rows["Road"]
    assert rows["Building"] < rows["Road"]
    assert (ids[-8:, 200:280] == ROAD).mean() > 0.5
    assert (ids[-60:] != SKY).all()


def test_classes_look_different() -> None:
    image, ids = Street(2).render(3.0)
    means = [image[ids == i].mean(0) for i in (SKY, BUILDING, ROAD)]
    for i in range(3):
        assert np.abs(means[i] - means[i - 1]).max() > 15


@pytest.mark.parametrize("size", [(64, 64), (97, 161), (270, 480)])
def test_other_sizes_show_the_same_street(size: tuple[int, int]) -> None:
    image, ids = Street(3, size=size).render(5.0)
    assert image.shape == (*size, 3)
    road = (ids == ROAD).mean()
    assert 0.1 < road < 0.6


def test_the_street_goes_on() -> None:
    _, ids = Street(3).render(3600.0)
    assert {SKY, ROAD} <= set(np.unique(ids))


def test_a_clip_is_in_step_with_its_truth(tmp_path: Path) -> None:
    street = Street(6, size=(97, 129))
    times = write_clip(tmp_path / "street.mp4", street, num_frames=12)
    assert len(set(np.diff(times))) > 5, "the frame rate varies"
    with av.open(tmp_path / "street.mp4") as file:
        frames = list(file.decode(video=0))
    assert [frame.pts for frame in frames] == times
    assert all(frame.time_base == TIME_BASE for frame in frames)
    for frame in frames[::4]:
        assert frame.pts is not None
        wanted, _ = street.render(float(frame.pts * TIME_BASE))
        shown = frame.to_ndarray(format="rgb24", src_colorspace="itu709")[:97, :129].astype(int)
        assert np.abs(shown - wanted).mean() < 6


@pytest.mark.parametrize(("seed", "size"), [(-1, (360, 480)), (0, (63, 480))])
def test_impossible_streets_are_refused(seed: int, size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="allowed are seeds from 0"):
        Street(seed, size=size)
