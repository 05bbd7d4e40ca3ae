"""The baseline of `icstream bench`: segmentation by an obvious short script.

It uses `cv2.VideoCapture`, resize, numpy normalization, the plain graph in eager fp32, argmax of
logits at full size and `cv2.imwrite`, without exact times or counts of losses.
"""

import time
from pathlib import Path

import cv2
import numpy as np
import torch

from icstream.model import Checkpoint
from icstream.model.geometry import network_size
from icstream.stages.media_names import ffmpeg_name


@torch.inference_mode()
def segment_naively(
    checkpoint: Checkpoint, recording: Path, folder: Path, *, num_frames: int, threads: int
) -> float:
    """Write a PNG of class ids for each of the first frames, and return the seconds per frame.

    The first frame is not timed.
    """
    torch.set_num_threads(threads)
    model = checkpoint.build()
    capture = cv2.VideoCapture(ffmpeg_name(recording))
    mean = np.asarray(checkpoint.preprocessing.mean_rgb, np.float32)
    std = np.asarray(checkpoint.preprocessing.std_rgb, np.float32)
    start, count = time.perf_counter(), 0
    for index in range(num_frames + 1):
        success, bgr = capture.read()
        if not success:
            break
        height, width = network_size((bgr.shape[0], bgr.shape[1]))
        rgb = cv2.cvtColor(cv2.resize(bgr, (width, height)), cv2.COLOR_BGR2RGB)
        x_HW3 = (rgb.astype(np.float32) - mean) / std
        if checkpoint.preprocessing.order == "bgr":
            x_HW3 = x_HW3[:, :, ::-1]
        x_NCHW = np.ascontiguousarray(x_HW3.transpose(2, 0, 1))[None]
        logits = model(torch.from_numpy(x_NCHW)).numpy()
        ids = logits[0].argmax(0).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index:06}.png"), ids)
        if index == 0:
            start = time.perf_counter()
        else:
            count = index
    capture.release()
    return (time.perf_counter() - start) / max(count, 1)
