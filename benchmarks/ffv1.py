"""Compare our FFV1 encoder with FFmpeg's on recorded masks: time per image, and every byte.

python benchmarks/ffv1.py out/drive/masks.mp4 --size 2048x1024
"""

import argparse
import time
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from icstream.stages.sinks.ffv1 import FFV1_OPTIONS, ffv1_encoder


def measure(path: Path, size: tuple[int, int] | None) -> tuple[list[float], list[float]]:
    """Return the seconds for each image, by FFmpeg and by icstream."""
    with av.open(path) as file:
        masks = [np.asarray(f.to_ndarray(format="gray"), np.uint8) for f in file.decode(video=0)]
    if size:
        masks = [
            np.asarray(cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST), np.uint8)
            for ids in masks
        ]
    codec = av.VideoCodecContext.create("ffv1", "w")
    codec.height, codec.width = masks[0].shape
    codec.pix_fmt, codec.time_base, codec.thread_count = "gray", Fraction(1, 25), 1
    codec.options = FFV1_OPTIONS
    codec.open()
    encoder = ffv1_encoder((codec.height, codec.width))
    if encoder is None:
        raise SystemExit("this FFmpeg's FFV1 is not as expected")
    by_ffmpeg, by_us = [], []
    for ids in masks:
        start = time.perf_counter()
        packets = codec.encode(VideoFrame.from_ndarray(ids, format="gray"))
        middle = time.perf_counter()
        packet = encoder.encode(ids)
        end = time.perf_counter()
        if [packet] != [bytes(other) for other in packets]:
            raise SystemExit("the packets differ")
        by_ffmpeg.append(middle - start)
        by_us.append(end - middle)
    return by_ffmpeg, by_us


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Compare our FFV1 encoder with FFmpeg's.")
    parser.add_argument("masks", type=Path)
    parser.add_argument("--size", help="WIDTHxHEIGHT that the masks are scaled to first")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x")) if options.size else (0, 0)
    by_ffmpeg, by_us = measure(options.masks, (width, height) if options.size else None)
    ratio = median(a / b for a, b in zip(by_ffmpeg, by_us, strict=True))
    print(
        f"{len(by_us)} images, equal bytes: FFmpeg {1e3 * median(by_ffmpeg):.2f} ms, "
        f"ours {1e3 * median(by_us):.2f} ms, ratio {ratio:.2f}"
    )


if __name__ == "__main__":
    main()
