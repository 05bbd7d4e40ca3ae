"""What people and programs get of an evaluation."""

import json

import numpy as np
import pytest
import torch

from icstream.model import CAMVID, Fit, LabelSet, Segmenter, load_weights
from icstream.model.runtimes import RuntimeChoice
from icstream.stages.evaluate import (
    Evaluation,
    FrameScore,
    Matching,
    draw_confusion,
    draw_frame_sheet,
    evaluate_dataset,
    evaluation_report,
    summary,
)
from support.street_samples import in_memory_data, street_sample


def made_up(fit: Fit | None = None) -> Evaluation:
    """Return an evaluation of data with road, sky and tram by weights with road, sky and bus."""
    names = ("road", "sky", "tram")
    data = LabelSet.from_values([(name, (0, 0, k)) for k, name in enumerate(names)])
    weights = LabelSet.from_values([("road", (0, 0, 0)), ("sky", (0, 0, 1)), ("bus", (9, 9, 9))])
    matching = Matching.of(data, weights)
    confusion = matching.confusion()
    confusion.counts += np.array([[60, 20, 0, 20], [0, 50, 0, 0], [0, 0, 0, 0]])
    return Evaluation(
        origin="streets",
        split="val",
        matching=matching,
        confusion=confusion,
        exits={"sub4": confusion},
        frames=tuple(FrameScore(f"f{i:02}", miou) for i, miou in enumerate([0.5, np.nan, 0.2])),
        corrupted=(),
        without_split=(),
        choice=RuntimeChoice(runtime="torch", device="cpu", precision="fp32", threads=2),
        fit=fit or Fit(),
        digest="ab" * 32,
        seconds=1.23456,
    )


def test_the_report_is_json_without_nan() -> None:
    values = json.loads(json.dumps(evaluation_report(made_up()), allow_nan=False))
    assert values["num_frames"] == 3
    assert values["iou"] == {"road": 0.6, "sky": 5 / 7, "tram": None}
    assert values["miou"] == pytest.approx((0.6 + 5 / 7) / 2)
    assert values["pixel_accuracy"] == pytest.approx(110 / 150)
    assert values["precision"] == {"road": 1.0, "sky": 5 / 7, "tram": None}
    assert values["recall"] == {"road": 0.6, "sky": 1.0, "tram": None}
    assert values["exits"]["sub4"]["miou"] == values["miou"]
    assert values["confusion"] == {
        "true": ["road", "sky", "tram"],
        "predicted": ["road", "sky", "tram", "bus"],
        "pixels": [[60, 20, 0, 20], [0, 50, 0, 0], [0, 0, 0, 0]],
    }
    assert values["worst"] == [{"name": "f02", "miou": 0.2}, {"name": "f00", "miou": 0.5}]
    assert values["best"] == values["worst"][::-1]
    assert values["chosen"]["precision"] == "fp32"
    assert values["hashes"] == {"weights": "ab" * 32}
    assert len(values["notes"]) == 3


def test_the_table_has_a_row_per_class() -> None:
    lines = summary(made_up())
    assert [line.split() for line in lines[:5]] == [
        ["class", "IoU", "precision", "recall", "sub4"],
        ["road", "60.00", "100.00", "60.00", "60.00"],
        ["sky", "71.43", "71.43", "100.00", "71.43"],
        ["tram", "-", "-", "-", "-"],
        ["mean", "65.71", "65.71"],
    ]
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[5] == "mIoU 65.71 %, pixel accuracy 73.33 %"
    assert lines[6] == made_up().protocol


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        (Fit(), "images as they are, padded to 32k+1"),
        (Fit(double_below=512), "those under 512 on a side doubled, padded to 32k+1"),
        (Fit("stretch", (512, 1024)), "images stretched to 512x1024"),
        (Fit("letterbox", (512, 512)), "images resized to fit within 512x512"),
    ],
)
def test_the_protocol_states_the_fit_of_images(fit: Fit, words: str) -> None:
    sentence = made_up(fit).protocol
    assert words in sentence
    for part in ("split val, 3 frames", "single scale", "no flipping", "void pixels left out"):
        assert part in sentence


def test_the_matrix_is_darkest_where_a_class_is_right() -> None:
    evaluation = made_up()
    image = draw_confusion(evaluation)
    cells = image[-12 - 3 * 48 : -12, -24 - 5 * 48 : -24 - 48]
    corner = cells[4 : 3 * 48 : 48, 4 : 4 * 48 : 48].astype(int).sum(-1)
    counts = evaluation.confusion.counts
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    assert corner.shape == shares.shape
    assert np.corrcoef(corner.ravel(), shares.ravel())[0, 1] < -0.999


def test_the_sheet_shows_worst_and_best_frames_once() -> None:
    before = torch.get_num_threads()
    segmenter = Segmenter(load_weights("streets"), device="cpu")
    samples = [street_sample(0), street_sample(1, size=(70, 300)), street_sample(2)]
    data = in_memory_data(samples)
    evaluation = evaluate_dataset(segmenter, data)
    sheet = draw_frame_sheet(evaluation, segmenter, data, num_each=2)
    # Three rows, two of them the worst; below each caption of 22 pixels lies the image.
    assert sheet.shape[1] == 8 + 3 * (300 + 8)
    worst = next(s for s in samples if s.name == evaluation.ranked()[0].name)
    height, width = worst.rgb_HW3.shape[:2]
    assert (sheet[32 + 22 : 32 + 22 + height, 8 : 8 + width] == worst.rgb_HW3).all()
    truth = sheet[32 + 22 : 32 + 22 + height, 8 + 2 * 308 : 8 + 2 * 308 + width]
    assert worst.ids_HW is not None
    assert (truth == CAMVID.palette()[worst.ids_HW]).all()
    assert len(sheet) > 3 * (180 + 22)
    torch.set_num_threads(before)
