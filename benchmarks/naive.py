"""Run the naive script on its own: a PNG of class ids per frame, and the time it took.

python benchmarks/naive.py drive.mp4 out --weights streets
"""

import argparse
from pathlib import Path

from icstream.model import load_weights
from icstream.pipeline.diagnostics.naive import segment_naively


def main() -> None:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description="Segment a recording the naive way.")
    parser.add_argument("recording", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="streets")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    seconds = segment_naively(
        load_weights(options.weights),
        options.recording,
        options.folder,
        num_frames=options.frames,
        threads=options.threads,
    )
    print(f"{1e3 * seconds:.1f} ms per frame, {1 / seconds:.1f} frames/s")


if __name__ == "__main__":
    main()
