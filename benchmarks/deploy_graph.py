"""Compare the deploy graph with the plain graph, pixel by pixel, in fp32.

    python benchmarks/deploy_graph.py VIDEO_OR_FOLDER... --weights camvid

The plain graph is `ICNet.forward` in eager PyTorch with argmax at full size. Folding, slicing in
place of halving, the classifier before the upsampling, and one x8 in place of x2 and x4 change the
order of float32 operations and nothing else, so a pixel may differ only where two classes are tied.
It counts as a near-tie if the plain graph's margin between the two is below 1e-4 of its range of
logits.
"""

import argparse
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model import Checkpoint, Fit, Segmenter, load_weights, prepare_input
from icstream.model.segmenter import mean_color
from icstream.stages import Frame, FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources

NEAR_TIE = 1e-4


@torch.inference_mode()
def plain_logits(
    checkpoint: Checkpoint, model: torch.nn.Module, input_hw3: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the plain graph's (K, h, w) logits of a prepared input."""
    mean = torch.tensor(checkpoint.preprocessing.mean_rgb)
    std = torch.tensor(checkpoint.preprocessing.std_rgb)
    x_hw3 = (torch.from_numpy(input_hw3).float() - mean) / std
    if checkpoint.preprocessing.order == "bgr":
        x_hw3 = x_hw3.flip(2)
    logits_NKhw: torch.Tensor = model(x_hw3.permute(2, 0, 1)[None])
    return np.asarray(logits_NKhw[0].numpy())


def compare(logits_Khw: NDArray[np.float32], ids_hw: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the numbers of pixels that differ from the logits' argmax, and of near-ties."""
    best_hw = logits_Khw.argmax(0)
    rows, columns = np.nonzero(best_hw != ids_hw)
    there = logits_Khw[:, rows, columns]
    places = np.arange(len(rows))
    margins = there[best_hw[rows, columns], places] - there[ids_hw[rows, columns], places]
    span = float(logits_Khw.max() - logits_Khw.min())
    return len(rows), int((margins < NEAR_TIE * span).sum())


def main() -> None:
    """Parse the command line, compare and print."""
    parser = argparse.ArgumentParser(description="Compare the deploy graph with the plain one.")
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--weights", default="camvid")
    parser.add_argument("--runtimes", nargs="+", default=["openvino", "torch"])
    parser.add_argument("--every", type=int, default=1, help="only every Nth frame")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    checkpoint = load_weights(options.weights)
    model = checkpoint.build()
    torch.set_num_threads(options.threads)
    engines = {
        name: Segmenter(
            checkpoint,
            runtime=name,
            precision="fp32",
            device="cpu",
            threads=options.threads,
            fit=Fit(),
        )
        for name in options.runtimes
    }
    for spec in find_sources(options.sources):
        counts = {name: np.zeros(3, np.int64) for name in engines}
        with open_source(spec, accounting=FrameAccounting()) as source:
            frames = (item for item in source if isinstance(item, Frame))
            for frame in islice(frames, 0, None, options.every):
                assert frame.image is not None
                geometry = checkpoint.fit.geometry(frame.meta.size)
                input_hw3 = prepare_input(frame.image, geometry, mean_color(checkpoint))
                logits_Khw = plain_logits(checkpoint, model, input_hw3)
                for name, engine in engines.items():
                    differ, ties = compare(logits_Khw, engine(input_hw3))
                    counts[name] += (input_hw3.shape[0] * input_hw3.shape[1], differ, ties)
        for name, count in counts.items():
            pixels, differ, ties = count.tolist()
            print(
                f"{spec.name}, {name}: {differ} of {pixels} pixels differ,"
                f" {ties} of them near-ties, {differ - ties} others"
            )


if __name__ == "__main__":
    main()
