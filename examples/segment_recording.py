"""Print the share of road in each frame of a recording.

python examples/segment_recording.py drive.mp4
"""

import sys

from icstream.model import Segmenter, load_weights
from icstream.pipeline import segment


def main() -> None:
    """Segment the file named on the command line."""
    segmenter = Segmenter(load_weights("camvid"))
    road = segmenter.labels.names.index("Road")
    for result in segment(sys.argv[1], weights=segmenter):
        share = (result.class_ids == road).mean()
        print(f"{float(result.time or result.index):9.3f}  {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
