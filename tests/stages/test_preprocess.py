"""The preprocess stage: what the network is given, and where it lies."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from icstream.model import Fit, StageError
from icstream.stages import Frame, FrameMeta
from icstream.stages.preprocess import Preprocess


def frame(index: int, *, size: tuple[int, int] = (64, 96)) -> Frame:
    meta = FrameMeta("s", index, index, Fraction(1, 25), size)
    return Frame(meta, np.full((*size, 3), index, np.uint8))


def test_an_image_in_a_canvas_is_prepared_where_it_lies() -> None:
    canvas = np.full((97, 129, 3), 7, np.uint8)
    given = replace(frame(7, size=(70, 100)), image=canvas[:70, :100], canvas=canvas)
    stage = Preprocess(fit=Fit(), mean_color=(124, 117, 104))
    done = stage.process(given)
    assert np.shares_memory(done.network_input, canvas)
    assert done.image is given.image
    wanted = stage.process(frame(7, size=(70, 100)))
    assert np.array_equal(done.network_input, wanted.network_input)
    canvas.flags.writeable = False
    assert stage.prepare_in_place(given) is None
    canvas.flags.writeable = True
    stretched = Preprocess(fit=Fit("stretch", (64, 64)), mean_color=(0, 0, 0))
    assert stretched.prepare_in_place(given) is None
    assert not np.shares_memory(stretched.process(given).network_input, canvas)


def test_preprocessing_needs_an_image_and_pads_with_the_mean() -> None:
    stage = Preprocess(fit=Fit(), mean_color=(124, 117, 104))
    rgb = stage.process(frame(7, size=(70, 100))).network_input
    assert rgb.shape == (97, 129, 3)
    assert (rgb[:70, :100] == 7).all()
    assert (rgb[70:] == (124, 117, 104)).all()
    assert (rgb[:, 100:] == (124, 117, 104)).all()
    with pytest.raises(StageError, match="no picture"):
        stage.process(replace(frame(0), image=None))
    given = frame(0)
    assert given.image is not None
    with pytest.raises(StageError, match=r"an \(H, W, 3\) uint8 array, .* float64"):
        stage.process(replace(given, image=given.image.astype(float)))
