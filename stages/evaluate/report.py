"""Reports of an evaluation, as plain JSON values and as text."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from icstream.stages.confusion import Confusion
from icstream.stages.evaluate.evaluation import Evaluation, FrameScore

_NUM_RANKED = 10


def evaluation_report(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as plain JSON values, with shares of 0 to 1, or null if undefined.

    The confusion matrix has a row for each true and a column for each predicted class, in pixels.
    """
    matching, ranked = evaluation.matching, evaluation.ranked()
    return {
        "protocol": evaluation.protocol,
        "notes": list(matching.notes),
        "data": evaluation.origin,
        "split": evaluation.split,
        "num_frames": len(evaluation.frames),
        "corrupted": [asdict(sample) for sample in evaluation.corrupted],
        "without_split": list(evaluation.without_split),
        **({"left_out": list(evaluation.left_out)} if evaluation.left_out else {}),
        **_scores(evaluation.confusion, matching.scored),
        "exits": {
            name: _scores(confusion, matching.scored)
            for name, confusion in evaluation.exits.items()
        },
        "confusion": {
            "true": list(matching.scored),
            "predicted": list(matching.labels.names),
            "pixels": evaluation.confusion.counts.tolist(),
        },
        "worst": _frames(ranked[:_NUM_RANKED]),
        "best": _frames(ranked[::-1][:_NUM_RANKED]),
        "chosen": asdict(evaluation.choice),
        "fit": asdict(evaluation.fit),
        "hashes": {"weights": evaluation.digest},
        "seconds": round(evaluation.seconds, 3),
    }


def summary(evaluation: Evaluation) -> list[str]:
    """Return a text table of the classes in percent, with the mean last and the protocol below."""
    confusion = evaluation.confusion
    columns: dict[str, tuple[list[float], float | None]] = {
        "IoU": (confusion.iou().tolist(), confusion.miou()),
        "precision": (confusion.precision().tolist(), None),
        "recall": (confusion.recall().tolist(), None),
    }
    for name, exit_confusion in evaluation.exits.items():
        columns[name] = (exit_confusion.iou().tolist(), exit_confusion.miou())
    names = evaluation.matching.scored
    width = max(len(name) for name in (*names, "class"))
    rows = [_row("class", width, columns)]
    rows += [
        _row(name, width, [_percent(values[i]) for values, _ in columns.values()])
        for i, name in enumerate(names)
    ]
    means = ["" if mean is None else _percent(mean) for _, mean in columns.values()]
    return [
        *rows,
        _row("mean", width, means),
        f"mIoU {_percent(confusion.miou())} %, pixel accuracy"
        f" {_percent(confusion.pixel_accuracy())} %",
        evaluation.protocol,
    ]


def _scores(confusion: Confusion, names: Sequence[str]) -> dict[str, Any]:
    return {
        "miou": _value(confusion.miou()),
        "pixel_accuracy": _value(confusion.pixel_accuracy()),
        "iou": _by_class(names, confusion.iou().tolist()),
        "precision": _by_class(names, confusion.precision().tolist()),
        "recall": _by_class(names, confusion.recall().tolist()),
    }


def _by_class(names: Sequence[str], values: Iterable[float]) -> dict[str, float | None]:
    return {name: _value(value) for name, value in zip(names, values, strict=True)}


def _value(share: float) -> float | None:
    return None if math.isnan(share) else share


def _frames(frames: Iterable[FrameScore]) -> list[dict[str, Any]]:
    return [asdict(frame) for frame in frames]


def _row(name: str, width: int, cells: Iterable[str]) -> str:
    return name.ljust(width) + "".join(f"  {cell:>9}" for cell in cells)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f}"
