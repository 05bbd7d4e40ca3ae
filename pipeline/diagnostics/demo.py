"""A demonstration of the whole pipeline on a clip with known truth."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import CAMVID
from icstream.pipeline.output import REPORT, write_json
from icstream.pipeline.run.output_folder import StreamOutput, prepare_output
from icstream.pipeline.run.prepare import prepare_run
from icstream.pipeline.run.report import build_report, summarize
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.run.run import RunDisplay, launch
from icstream.pipeline.settings.run import load_config
from icstream.stages.confusion import Confusion
from icstream.stages.contact_sheet import draw_contact_sheet
from icstream.stages.decode.pyav import exact_ratio
from icstream.stages.media_names import ffmpeg_name
from icstream.stages.streets import Street, write_clip

_CLIP = "street.mp4"
_SHEET = "contact_sheet.png"
_SEED = 20_009
"""Seed of a street that the shipped weights were not trained on, as training used seeds below
10,000."""
_SIZE = (360, 480)
_NUM_FRAMES = 75
_NUM_SHEET_ROWS = 4


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The run of the demo, and the comparison of its masks with the truth."""

    result: RunResult
    confusion: Confusion
    exact_times: bool
    """Whether every mask has exactly the time of its frame."""
    folder: Path

    @property
    def exit_code(self) -> int:
        """The exit code of the run, or 1 if a time is wrong."""
        return self.result.exit_code or (0 if self.exact_times else 1)

    def values(self) -> dict[str, Any]:
        """Return the results as plain JSON values."""
        iou = zip(CAMVID.names, self.confusion.iou().tolist(), strict=True)
        return {
            "miou": self.confusion.miou(),
            "pixel_accuracy": self.confusion.pixel_accuracy(),
            "iou": {name: value for name, value in iou if value == value},
            "exact_times": self.exact_times,
            "exit_code": self.exit_code,
        }

    def lines(self) -> list[str]:
        """Return the results as lines for people."""
        times = "every mask at its frame's exact time" if self.exact_times else "TIMES DIFFER"
        return [
            *summarize(self.result),
            f"mIoU {100 * self.confusion.miou():.1f} %, pixel accuracy"
            f" {100 * self.confusion.pixel_accuracy():.1f} % against the rendered truth; {times}",
            f"look at {self.folder / _SHEET} and {self.folder / 'street' / 'overlay.mp4'}",
        ]


def run_demo(
    folder: Path, *, overwrite: bool, progress: RunDisplay, should_stop: Callable[[], bool]
) -> DemoResult:
    """Render a street, segment it, and compare the masks in the file with the truth.

    Raises:
        ConfigError: the folder is in use, or cannot be written.
    """
    street = Street(_SEED, size=_SIZE)
    clip = folder / _CLIP
    sinks = ["masks", "overlay"]
    streams = [StreamOutput(clip.stem, sinks, sources=[])]
    prepared = prepare_output(folder, streams, overwrite=overwrite, can_resume=False)
    with prepared.lock:
        write_clip(clip, street, num_frames=_NUM_FRAMES)
        config = load_config(None, (), {"model.weights": "streets", "output.sinks": sinks})
        with prepare_run(config, [str(clip)], folder, prepared=prepared) as run:
            result = launch(run, progress=progress, should_stop=should_stop)
        write_json(build_report(result, exit_code=result.exit_code), folder / REPORT)
    confusion, exact_times, rows = _compare(street, clip, folder / "street" / "masks.mp4")
    sheet = draw_contact_sheet(rows, titles=["frame", "masks.mp4", "truth"], labels=CAMVID)
    cv2.imwrite(str(folder / _SHEET), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return DemoResult(result, confusion, exact_times, folder)


def _compare(
    street: Street, clip: Path, masks: Path
) -> tuple[Confusion, bool, list[list[NDArray[np.uint8]]]]:
    """Return the confusion of masks with the truth, whether times match, and rows of the sheet."""
    confusion = Confusion(len(CAMVID))
    exact_times = True
    rows: list[list[NDArray[np.uint8]]] = []
    step = _NUM_FRAMES // _NUM_SHEET_ROWS
    with av.open(ffmpeg_name(clip)) as clip_file, av.open(ffmpeg_name(masks)) as masks_file:
        pairs = zip(clip_file.decode(video=0), masks_file.decode(video=0), strict=True)
        for index, (frame, mask) in enumerate(pairs):
            instant = _instant(frame)
            exact_times = exact_times and instant == _instant(mask)
            image, truth = street.render(float(instant))
            ids = np.asarray(mask.to_ndarray(format="gray"), np.uint8)
            confusion.add(ids, truth)
            if index % step == step // 2 and len(rows) < _NUM_SHEET_ROWS:
                rows.append([image, ids, truth])
    return confusion, exact_times, rows


def _instant(frame: av.VideoFrame) -> Fraction:
    time_base = exact_ratio(frame.time_base)
    assert frame.pts is not None
    assert time_base is not None
    return frame.pts * time_base
