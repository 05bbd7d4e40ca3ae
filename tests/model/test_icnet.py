"""The network: published counts, any input size, and exact rewrites for deployment."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from icstream.model import CAMVID, Checkpoint, ConfigError, ICNet, ICNetConfig, Preprocessing
from icstream.model.deploy import DeployGraph
from icstream.model.icnet import initialize

SMALL = ICNetConfig(num_classes=11, width=0.0625)


def small_model(config: ICNetConfig = SMALL) -> ICNet:
    """A narrow network whose batch norms have statistics of their own."""
    model = ICNet(config)
    initialize(model, seed=0)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            count = module.num_features
            module.running_mean = torch.randn(count, generator=generator) * 0.1
            module.running_var = torch.rand(count, generator=generator) + 0.5
            module.weight.data = torch.rand(count, generator=generator) + 0.5
            module.bias.data = torch.randn(count, generator=generator) * 0.1
    return model.eval()


def parameters(model: ICNet) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if ".aux." not in name)


@pytest.mark.parametrize("variant", ["paper", "supervisely"])
@pytest.mark.parametrize(
    ("num_classes", "use_batchnorm", "count"),
    # an independent count of the authors' layer table, without auxiliary heads
    [(19, True, 6_699_987), (19, False, 6_685_715), (12, True, 6_699_084)],
)
def test_parameters_are_those_published(
    variant: str, num_classes: int, use_batchnorm: bool, count: int
) -> None:
    with torch.device("meta"):
        config = ICNetConfig(
            num_classes=num_classes,
            variant=variant,  # type: ignore[arg-type]
            use_batchnorm=use_batchnorm,
        )
        assert parameters(ICNet(config)) == count


def test_the_full_width_network_has_26_7_million_parameters() -> None:
    with torch.device("meta"):
        assert parameters(ICNet(ICNetConfig(num_classes=19, width=1))) / 1e6 == pytest.approx(
            26.7, abs=0.1
        )


def test_multiply_accumulates_are_those_published() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        ICNet(ICNetConfig(num_classes=19)).eval()(torch.empty(1, 3, 1025, 2049))
    assert counter.get_total_flops() / 2e9 == pytest.approx(29.9, rel=0.01)


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (100, 333), (96, 160)])
def test_any_size_works_in_training_and_evaluation(size: tuple[int, int]) -> None:
    model = small_model().train()
    x = torch.randn(2, 3, *size)
    padded = [-(-(side - 1) // 32) * 32 + 1 for side in size]
    logits = model.branch_logits(x)
    for branch, factor in zip(logits, (4, 8, 16), strict=True):
        assert branch.shape == (2, 11, *((side - 1) // factor + 1 for side in padded))
    torch.stack([branch.square().mean() for branch in logits]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.eval()(x).shape == (2, 11, *size)


@pytest.mark.parametrize("size", [(1024, 2048), (480, 360), (512, 512), (1025, 2049), (2160, 3840)])
def test_large_sizes_come_back_exactly(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert ICNet(SMALL).eval()(torch.empty(1, 3, *size)).shape == (1, 11, *size)


def test_inputs_that_are_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="input of 63x80: both sides must be at least 64"):
        small_model()(torch.zeros(1, 3, 63, 80))


def test_variants_differ_in_where_conv3_1_halves() -> None:
    strides = {}
    for variant in ("paper", "supervisely"):
        block = ICNet(ICNetConfig(num_classes=2, variant=variant)).conv3_1
        assert block.proj is not None
        convs = (block.reduce.conv, block.conv3x3.conv, block.proj.conv)
        strides[variant] = [conv.stride[0] for conv in convs]
    assert strides == {"paper": [2, 1, 2], "supervisely": [1, 2, 2]}


def test_auxiliary_heads_cost_nothing_at_inference() -> None:
    model = small_model()
    called = []
    for head in (model.cff12.aux, model.cff24.aux):
        head.register_forward_hook(lambda *_: called.append(1))
    model(torch.zeros(1, 3, 64, 64))
    assert called == []
    model.branch_logits(torch.zeros(1, 3, 64, 64))
    assert len(called) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_classes": 1}, "num_classes: got 1"),
        ({"num_classes": 256}, "num_classes: got 256"),
        ({"num_classes": 2, "variant": "tv"}, "variant: got 'tv', allowed are paper, supervisely"),
        ({"num_classes": 2, "width": 0}, "width: got 0"),
    ],
)
def test_errors_of_settings_state_what_is_allowed(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ICNetConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["bgr", "rgb"])
@pytest.mark.parametrize("use_batchnorm", [True, False])
@torch.inference_mode()
def test_the_deploy_graph_is_an_exact_rewrite(order: str, use_batchnorm: bool) -> None:
    config = ICNetConfig(num_classes=11, width=0.0625, use_batchnorm=use_batchnorm)
    model = small_model(config)
    preprocessing = Preprocessing((100.0, 110.0, 120.0), (50.0, 60.0, 70.0), order)  # type: ignore[arg-type]
    made = Checkpoint.of(model, CAMVID, training={})
    checkpoint = Checkpoint(config, CAMVID, made.tensors, preprocessing)
    generator = torch.Generator().manual_seed(3)
    rgb = torch.randint(0, 256, (2, 97, 129, 3), dtype=torch.uint8, generator=generator)
    x = (rgb.float() - torch.tensor(preprocessing.mean_rgb)) / torch.tensor(preprocessing.std_rgb)
    x = x.flip(-1) if order == "bgr" else x
    expected = model(x.permute(0, 3, 1, 2))
    scores = DeployGraph(checkpoint)(rgb)
    assert scores.shape == (2, 11, 13, 17)
    zoomed = F.interpolate(scores, size=(97, 129), mode="bilinear", align_corners=True)
    assert (zoomed - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_initial_weights_depend_on_the_seed_alone() -> None:
    first, second, other = ICNet(SMALL), ICNet(SMALL), ICNet(SMALL)
    initialize(first, seed=4)
    initialize(second, seed=4)
    initialize(other, seed=5)
    assert torch.equal(first.classifier.weight, second.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_dropout_hides_channels_from_the_classifier_in_training_alone() -> None:
    model = ICNet(ICNetConfig(num_classes=3, width=1 / 8))
    initialize(model, seed=0)
    x_NCHW = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(0))
    model.eval()
    plain, whole = model.branch_logits(x_NCHW), model.branch_logits(x_NCHW, dropout=0.5)
    assert torch.equal(plain.sub124, whole.sub124)
    model.train()
    torch.manual_seed(0)
    dropped = model.branch_logits(x_NCHW, dropout=0.5)
    torch.manual_seed(0)
    again = model.branch_logits(x_NCHW, dropout=0.5)
    without = model.branch_logits(x_NCHW)
    assert torch.equal(dropped.sub124, again.sub124)
    assert not torch.allclose(dropped.sub124, without.sub124)
    assert torch.equal(dropped.sub24, without.sub24)
