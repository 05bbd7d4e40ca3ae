"""The engines: they agree, they are deterministic, and they refuse what they cannot do."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from numpy.typing import NDArray

from icstream.model import (
    Agreement,
    Checkpoint,
    ConfigError,
    Fit,
    Segmenter,
    load_weights,
    prepare_input,
)
from icstream.model.runtimes import cpu_does_bf16, select_runtime
from icstream.stages.streets import Street

Image = NDArray[np.uint8]


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_weights("streets")


@pytest.fixture(scope="module")
def images() -> list[Image]:
    return [Street(30_000 + i, size=(360, 480)).render(3.0 * i)[0] for i in range(6)]


def masks(
    checkpoint: Checkpoint, images: list[Image], runtime: str, precision: str, threads: int = 2
) -> list[Image]:
    segmenter = Segmenter(
        checkpoint,
        runtime=runtime,  # type: ignore[arg-type]
        device="cpu",
        precision=precision,  # type: ignore[arg-type]
        threads=threads,
    )
    return [segmenter(image) for image in images]


def agreement(first: list[Image], second: list[Image]) -> float:
    return float(np.mean([(a == b).mean() for a, b in zip(first, second, strict=True)]))


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint, images: list[Image]) -> list[Image]:
    return masks(checkpoint, images, "torch", "fp32")


@pytest.mark.slow
def test_the_reference_has_many_classes(reference: list[Image]) -> None:
    assert len(np.unique(reference)) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_the_engines_agree_in_fp32(
    checkpoint: Checkpoint, images: list[Image], reference: list[Image], runtime: str
) -> None:
    assert agreement(masks(checkpoint, images, runtime, "fp32"), reference) >= 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bf16_stays_close(
    checkpoint: Checkpoint, images: list[Image], reference: list[Image], runtime: str
) -> None:
    if runtime == "openvino" and not cpu_does_bf16():
        pytest.skip("this processor has no bf16 instructions")
    got = masks(checkpoint, images, runtime, "bf16")
    assert 0.98 <= agreement(got, reference) < 1, "bf16 was not used"


@pytest.mark.slow
def test_the_plain_graph_gives_the_same_ids(
    checkpoint: Checkpoint, images: list[Image], reference: list[Image]
) -> None:
    mean = torch.tensor(checkpoint.preprocessing.mean_rgb)
    geometry = Fit().geometry((360, 480))
    padded = [prepare_input(image, geometry, (124, 117, 104)) for image in images]
    with torch.inference_mode():
        x = torch.from_numpy(np.stack(padded)).float() - mean
        logits = checkpoint.build()(x.flip(-1).permute(0, 3, 1, 2))
    plain = list(logits.argmax(1).to(torch.uint8).numpy()[:, :360, :480])
    assert agreement(plain, reference) >= 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["torch", "openvino", "onnx"])
def test_masks_do_not_depend_on_what_came_before(
    checkpoint: Checkpoint, images: list[Image], runtime: str
) -> None:
    wide, tall = images[0], np.ascontiguousarray(images[1][:, :200])
    alone = [masks(checkpoint, [image], runtime, "fp32")[0] for image in (wide, tall)]
    mixed = masks(checkpoint, [wide, tall, wide, tall], runtime, "fp32")
    for got, wanted in zip(mixed, alone * 2, strict=True):
        assert (got == wanted).all()


@pytest.mark.slow
@pytest.mark.parametrize("fit", [Fit("stretch", (320, 512)), Fit("letterbox", (512, 600))])
def test_other_fits_give_masks_of_the_images_size(
    checkpoint: Checkpoint, images: list[Image], reference: list[Image], fit: Fit
) -> None:
    segmenter = Segmenter(checkpoint, device="cpu", fit=fit)
    got = [segmenter(image) for image in images]
    assert got[0].shape == (360, 480)
    assert agreement(got, reference) > 0.75


def test_a_choice_is_run_as_it_stands(checkpoint: Checkpoint, images: list[Image]) -> None:
    fit = Fit("stretch", (320, 512))
    choice = select_runtime(checkpoint, runtime="torch", device="cpu", threads=1)
    segmenter = Segmenter.from_choice(checkpoint, choice, fit=fit)
    assert (segmenter.choice, segmenter.fit) == (choice, fit)
    assert Segmenter.from_choice(checkpoint, choice).fit == checkpoint.fit
    other = Segmenter(checkpoint, runtime="torch", device="cpu", threads=1, fit=fit)
    assert (segmenter(images[0]) == other(images[0])).all()


@pytest.mark.slow
def test_views_and_any_size_work(checkpoint: Checkpoint, images: list[Image]) -> None:
    segmenter = Segmenter(checkpoint, runtime="openvino", device="cpu")
    turned = images[0][::-1, ::-1]
    assert (segmenter(turned) == segmenter(np.ascontiguousarray(turned))).all()
    assert segmenter(np.zeros((1, 3, 3), np.uint8)).shape == (1, 3)


@pytest.mark.parametrize(
    "image",
    [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3))],
)
def test_what_is_no_rgb_image_is_refused(checkpoint: Checkpoint, image: Image) -> None:
    with pytest.raises(ConfigError, match=r"\(H, W, 3\) uint8"):
        Segmenter(checkpoint, device="cpu")(image)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"runtime": "trt"}, "runtime: got 'trt'"),
        ({"device": "gpu"}, "device: got 'gpu', allowed are auto, cpu, cuda and cuda:N"),
        (
            {"device": "cpu", "precision": "fp16"},
            "precision fp16: openvino on cpu offers int8, bf16",
        ),
        ({"device": "cpu", "runtime": "onnx", "precision": "bf16"}, "onnx on cpu offers fp32"),
        ({"threads": 0}, "threads: got 0"),
    ],
)
def test_impossible_choices_are_refused_with_what_is_allowed(
    checkpoint: Checkpoint, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        select_runtime(checkpoint, **settings)  # type: ignore[arg-type]


def test_bf16_is_found_where_openvino_finds_it() -> None:
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert cpu_does_bf16() == ("BF16" in able)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_is_refused_where_there_is_none(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="no CUDA device here; use --device cpu"):
        select_runtime(checkpoint, device="cuda:0")


def test_auto_takes_a_lower_precision_only_on_measured_agreement(checkpoint: Checkpoint) -> None:
    def chosen(*measured: Agreement) -> str:
        stated = {"bf16": measured[0]} if measured else {}
        return select_runtime(replace(checkpoint, agreement=stated), device="cpu").precision

    assert chosen() == "fp32"
    assert chosen(Agreement(0.98, 0.0, "")) == "fp32"
    assert chosen(Agreement(0.999, -0.6, "")) == "fp32"
    assert chosen(Agreement(0.999, 0.1, "")) == ("bf16" if cpu_does_bf16() else "fp32")


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "suffix"), [("onnx", "onnx"), ("openvino", "blob")])
def test_a_damaged_graph_in_the_cache_is_made_again(
    checkpoint: Checkpoint,
    images: list[Image],
    reference: list[Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    suffix: str,
) -> None:
    monkeypatch.setenv("ICSTREAM_CACHE", str(tmp_path))
    masks(checkpoint, images[:1], runtime, "fp32")
    cached = list(tmp_path.glob(f"*.{suffix}"))
    for file in cached:
        file.write_bytes(b"damaged")
    assert agreement(masks(checkpoint, images[:1], runtime, "fp32"), reference[:1]) >= 0.9999
    assert cached
    assert any(file.read_bytes() != b"damaged" for file in cached)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_what_comes_from_the_cache_gives_the_same_scores(
    images: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    if precision == "bf16" and not cpu_does_bf16():
        pytest.skip("this processor has no bf16 instructions")
    monkeypatch.setenv("ICSTREAM_CACHE", str(tmp_path))
    checkpoint = load_weights("camvid")
    scores = []
    for _ in range(2):
        segmenter = Segmenter(
            checkpoint,
            runtime="openvino",
            device="cpu",
            precision=precision,  # type: ignore[arg-type]
        )
        geometry = segmenter.fit.geometry(images[0].shape[:2])
        prepared = prepare_input(images[0], geometry, segmenter.mean_color)
        scores.append(segmenter.scores(prepared, geometry).values_Khw.copy())
        assert len(list(tmp_path.glob("*.blob"))) == 1
    assert np.array_equal(scores[0], scores[1])


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("precision", "share"), [("fp32", 0.9999), ("fp16", 0.995), ("bf16", 0.98)]
)
def test_cuda_agrees_with_the_cpu(
    checkpoint: Checkpoint,
    images: list[Image],
    reference: list[Image],
    precision: str,
    share: float,
) -> None:
    segmenter = Segmenter(checkpoint, device="cuda:0", precision=precision)  # type: ignore[arg-type]
    assert agreement([segmenter(image) for image in images], reference) >= share
