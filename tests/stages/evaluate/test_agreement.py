"""The agreement of precisions, against the masks that it is about."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from icstream.model import Checkpoint, ConfigError, Segmenter, load_weights
from icstream.stages.confusion import Confusion
from icstream.stages.evaluate import measure_agreement
from support.street_samples import InMemory, in_memory_data, street_sample


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_weights("streets")


@pytest.fixture(scope="module")
def samples() -> list[InMemory]:
    return [street_sample(0), street_sample(1), street_sample(2, size=(97, 130))]


def test_the_figures_are_those_of_the_masks(
    checkpoint: Checkpoint, samples: list[InMemory], tmp_path: Path
) -> None:
    damaged = InMemory("broken", samples[0].rgb_HW3, None)
    got = measure_agreement(
        checkpoint,
        in_memory_data([*samples, damaged]),
        precision="bf16",
        runtime="torch",
        device="cpu",
    )
    confusions, masks = [], []
    for precision in ("bf16", "fp32"):
        segmenter = Segmenter(checkpoint, runtime="torch", device="cpu", precision=precision)
        masks.append([segmenter(sample.rgb_HW3) for sample in samples])
        confusion = Confusion(11)
        for mask, sample in zip(masks[-1], samples, strict=True):
            assert sample.ids_HW is not None
            confusion.add(mask, sample.ids_HW)
        confusions.append(confusion.miou())
    equal = [a == b for a, b in zip(*masks, strict=True)]
    share = sum(e.sum() for e in equal) / sum(e.size for e in equal)
    assert 0.9 < share < 1
    assert got.agreement.pixels == pytest.approx(share, abs=1e-5)
    assert got.agreement.miou_points == pytest.approx(
        100 * (confusions[0] - confusions[1]), abs=1e-3
    )
    assert (got.miou, got.miou_fp32) == pytest.approx(tuple(confusions))
    worst = int(np.argmin([e.mean() for e in equal]))
    assert (got.worst_frame, got.worst_frame_pixels) == (f"street {worst}", equal[worst].mean())
    assert got.agreement.measured_on.startswith("3 frames of streets val, torch on cpu")

    got.kept_in(checkpoint).save(tmp_path / "kept.safetensors")
    kept = Checkpoint.load(tmp_path / "kept.safetensors")
    assert kept.agreement["bf16"] == got.agreement
    assert kept.digest() == checkpoint.digest()


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_only_lower_precisions_are_compared(
    checkpoint: Checkpoint, samples: list[InMemory], precision: str
) -> None:
    with pytest.raises(ConfigError, match="allowed are the lower precisions bf16, fp16 and int8"):
        measure_agreement(checkpoint, in_memory_data(samples), precision=precision)  # type: ignore[arg-type]


def test_void_alone_is_no_measure(checkpoint: Checkpoint, samples: list[InMemory]) -> None:
    void = InMemory("void", samples[0].rgb_HW3, np.full((180, 240), 255, np.uint8))
    with pytest.raises(ConfigError, match="no pixel of the frames has a class"):
        measure_agreement(
            checkpoint, in_memory_data([void]), precision="bf16", runtime="torch", device="cpu"
        )
