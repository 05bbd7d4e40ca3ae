"""Time each stage alone over a recording, one thread each, in milliseconds of CPU time per frame.

python benchmarks/stages.py drive.mp4 --weights streets
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2

from icstream.model import Segmenter, load_weights
from icstream.model.planar import interleaved
from icstream.stages import Frame, FrameAccounting, SegmentedFrame
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.preprocess import Preprocess
from icstream.stages.segment import Segment
from icstream.stages.sinks import SINKS, SinkContext, open_sink


def measure(source: str, weights: str) -> dict[str, float]:
    """Return the CPU time of each stage and sink in milliseconds per frame."""
    spent: defaultdict[str, float] = defaultdict(float)
    segmenter = Segmenter(load_weights(weights), device="cpu", threads=1)
    preprocess = Preprocess(fit=segmenter.fit, mean_color=segmenter.mean_color)
    segment = Segment(segmenter)
    (spec,) = find_sources([source])
    count = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        open_source(spec, accounting=FrameAccounting()) as opened,
    ):
        context = SinkContext(Path(folder), segmenter.labels, spec.paths[0])
        sinks = {name: open_sink(name, context) for name in SINKS if name != "events"}
        segmenter.warm_up(opened.info.size)
        clock = time.process_time()

        def lap(stage: str) -> None:
            nonlocal clock
            now = time.process_time()
            spent[stage] += now - clock
            clock = now

        for item in opened:
            if not isinstance(item, Frame):
                continue
            lap("decode")
            prepared = preprocess.process(item)
            lap("preprocess")
            scored = segment.process(prepared)
            lap("segment")
            class_ids = scored.scores.class_ids()
            lap("upsample")
            assert item.image is not None
            done = SegmentedFrame(item.meta, class_ids, interleaved(item.image))
            lap("interleave")
            for name, sink in sinks.items():
                sink.write(done)
                lap(f"sink {name}")
            count += 1
        for sink in sinks.values():
            sink.close()
    return {stage: 1e3 * seconds / count for stage, seconds in spent.items()}


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Time each stage alone.")
    parser.add_argument("source")
    parser.add_argument("--weights", default="streets")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    for stage, milliseconds in measure(options.source, options.weights).items():
        print(f"{stage:14} {milliseconds:7.2f} core-ms per frame")


if __name__ == "__main__":
    main()
