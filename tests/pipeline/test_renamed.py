"""Old names: they work, say the new one, and say it once in a log."""

import logging
import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from icstream.model import CAMVID, Fit, LabelSet, prepare_input
from icstream.model.renamed import (
    RenamedWarning,
    log_renamed,
    renamed_arguments,
    renamed_fields,
    warn_renamed,
)
from icstream.pipeline import Segmented, segment
from icstream.stages import FrameAccounting, FrameMeta, SegmentedFrame


@renamed_fields(colour="color")
@dataclass(frozen=True, slots=True)
class Paint:
    color: str
    gloss: int = 0


def test_an_old_field_is_read_and_given_under_its_old_name() -> None:
    with pytest.warns(RenamedWarning, match=r"^Paint\.colour is now color$") as caught:
        assert Paint("red", 3).colour == "red"  # type: ignore[attr-defined]
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(RenamedWarning, match="^argument colour is now color$") as caught:
        assert Paint(colour="blue") == Paint("blue")  # type: ignore[call-arg]
    assert [warning.filename for warning in caught] == [__file__]


def test_an_old_argument_is_taken_under_its_old_name() -> None:
    @renamed_arguments(books="accounting")
    def double(*, accounting: int) -> int:
        return 2 * accounting

    with pytest.warns(RenamedWarning, match="^argument books is now accounting$"):
        assert double(books=4) == 8  # type: ignore[call-arg]
    assert double(accounting=4) == 8


@pytest.mark.slow
def test_names_of_0_1_0_give_what_they_gave() -> None:
    import icstream.stages

    class_ids = np.zeros((2, 3), np.uint8)
    frame = SegmentedFrame(FrameMeta("s", 0, 0, Fraction(1, 25), (2, 3)), class_ids)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert isinstance(frame.result, icstream.stages.ClassIds)
        assert frame.result.ids is class_ids
        assert frame.picture is None  # type: ignore[attr-defined]
        assert icstream.stages.Books is FrameAccounting
        assert icstream.stages.Stage is icstream.stages.FrameStage
        assert CAMVID.colours is CAMVID.colors  # type: ignore[attr-defined]
        assert LabelSet(names=CAMVID.names, colours=CAMVID.colors) == CAMVID  # type: ignore[call-arg]
        FrameAccounting().without_picture["stopped"] += 1  # type: ignore[attr-defined]
    assert {str(warning.message).split(" is now ")[0] for warning in caught} == {
        "SegmentedFrame.result",
        "SegmentedFrame.picture",
        "icstream.stages.Books",
        "icstream.stages.ClassIds",
        "icstream.stages.Stage",
        "LabelSet.colours",
        "argument colours",
        "FrameAccounting.without_picture",
    }


@pytest.mark.slow
def test_functions_of_0_1_0_take_what_they_took() -> None:
    import icstream.model
    import icstream.stages.evaluate

    image = np.full((4, 6, 3), 9, np.uint8)
    geometry = Fit("native").geometry((4, 6))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepared = icstream.model.prepare(
            picture_HW3=image, geometry=geometry, mean_colour=(1, 2, 3)
        )
        evaluate = icstream.stages.evaluate.evaluate
    assert (prepared == prepare_input(image, geometry, (1, 2, 3))).all()
    assert evaluate is icstream.stages.evaluate.evaluate_dataset
    assert sorted(str(warning.message) for warning in caught) == [
        "argument mean_colour is now mean_color",
        "argument picture_HW3 is now image_HW3",
        "icstream.model.prepare is now icstream.model.prepare_input",
        "icstream.stages.evaluate.evaluate is now icstream.stages.evaluate.evaluate_dataset",
    ]
    assert {warning.filename for warning in caught} == {__file__}


def test_segment_takes_books_and_its_results_have_a_picture() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    result = Segmented(0, 0, Fraction(1, 25), image, image[..., 0])
    with pytest.warns(RenamedWarning, match=r"^Segmented\.picture is now image$"):
        assert result.picture is image  # type: ignore[attr-defined]
    with pytest.warns(RenamedWarning, match="^argument books is now accounting$") as caught:
        segment("drive.mp4", books=FrameAccounting())  # type: ignore[call-arg]
    assert [warning.filename for warning in caught] == [__file__]


def test_a_log_names_each_old_name_once_wherever_it_is_used(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        log_renamed()
        for _ in range(2):
            warn_renamed("the_first_old_name", "first", stacklevel=1)
            warn_renamed("the_first_old_name", "first", stacklevel=1)
            warn_renamed("the_second_old_name", "second", stacklevel=1)
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(" (")[0] for message in messages] == [
        "the_first_old_name is now first",
        "the_second_old_name is now second",
    ]
    assert all("test_renamed.py:" in message for message in messages)
