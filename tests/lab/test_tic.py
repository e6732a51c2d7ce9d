"""The tic family: its blocks, its reach, its start, and that a model of it trains, is stored and
codes like any other.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from progcodec.codec.codec import Codec
from progcodec.config import FAMILIES, ModelConfig
from progcodec.errors import CheckpointError
from progcodec.lab.train.export import freeze
from progcodec.network.checkpoint import Checkpoint
from progcodec.network.model import Model
from progcodec.network.swin import SwinBlock, WindowAttention
from progcodec.network.tic import TicAnalysis
from tests.support.command import run

SMALL = {
    "width": 16,
    "blocks": (12, 8, 8),
    "hyper_channels": 8,
    "mean_width": 16,
    "scale_width": 16,
}
TINY = ModelConfig(
    family="tic", swin_depths=(1, 1, 2), swin_heads=(2, 2, 4), swin_window=4, **SMALL
)


def stirred(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter random, in float64: nothing is silent."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        centre = 1.0 if parameter.ndim == 1 else 0.0  # norms and spreads
        size = 0.3 if parameter.ndim < 4 else parameter[0].numel() ** -0.5
        parameter.data = centre + size * torch.randn(parameter.shape, generator=generator)
    return module.double().requires_grad_(False)


# --- blocks ---------------------------------------------------------------------------------------


def by_definition(attention: WindowAttention, x: torch.Tensor) -> torch.Tensor:
    """Attention of one picture (H, W, C), position by position: each attends to those of its own
    window.
    """
    height, width, channels = x.shape
    w, heads = attention.window, attention.heads
    size = channels // heads
    q, k, v = (part.reshape(height, width, heads, size) for part in attention.qkv(x).chunk(3, -1))
    y = torch.zeros(height, width, heads, size, dtype=x.dtype)
    windows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i in range(height):
        for j in range(width):
            window = (i + attention.before) // w, (j + attention.before) // w
            windows.setdefault(window, []).append((i, j))
    for fellows in windows.values():
        for i, j in fellows:
            for head in range(heads):
                logits = [
                    q[i, j, head] @ k[a, b, head] / size**0.5
                    + attention.position[head, i - a + w - 1, j - b + w - 1]
                    for a, b in fellows
                ]
                weights = torch.stack(logits).softmax(0)
                parts = zip(weights, fellows, strict=True)
                y[i, j, head] = sum(weight * v[a, b, head] for weight, (a, b) in parts)
    return attention.project(y.reshape(height, width, channels))


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("size", [(1, 1), (4, 8), (5, 11)])
def test_window_attention_is_its_definition(shift, size):
    attention = stirred(WindowAttention(8, 2, 4, shift))
    x = torch.randn(2, *size, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([by_definition(attention, picture) for picture in x])
    torch.testing.assert_close(attention(x), expected)


def test_windows_in_several_groups_are_the_same(monkeypatch):
    block = stirred(SwinBlock(8, 2, 4, 2))
    x = torch.randn(3, 9, 14, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = block(x)
    monkeypatch.setattr("progcodec.network.swin.WINDOWS_AT_ONCE", 5)
    torch.testing.assert_close(block(x), whole)


# --- transforms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (48, 80), (16, 208), (112, 64)])
def test_every_multiple_of_16(size):
    model = Model(TINY)
    x = torch.rand(2, 3, *size)
    y = model.analysis(x)
    assert y.shape == (2, TINY.latent_channels, size[0] // 16, size[1] // 16)
    assert model.synthesis(y).shape == x.shape and torch.isfinite(model.synthesis(y)).all()
    assert torch.equal(model.analysis(x), y)
    # a picture's neighbours in the batch do not matter
    torch.testing.assert_close(model.analysis(x[1:]), y[1:])


# --- config and checkpoint ------------------------------------------------------------------------


def test_the_default_tic_is_the_paper_s_and_small_enough():
    model = Model(ModelConfig(family="tic", **FAMILIES["tic"]))
    assert model.analysis.convolutions[0].weight.shape == (128, 3, 5, 5)
    assert model.analysis.convolutions[-1].weight.shape == (320, 128, 3, 3)
    blocks = [[block.attention.heads for block in stage.blocks] for stage in model.analysis.stages]
    assert blocks == [[4], [8, 8], [16, 16, 16]]
    sizes = [tensor.numel() * tensor.element_size() for tensor in freeze(model).values()]
    assert sum(sizes) < 16_000_000


def test_new_fields_leave_old_configs_as_they_were(tiny_checkpoint):
    stored = set(ModelConfig().to_dict())
    old = "family width depth inner_width inner_depth blocks hyper_channels mean_width scale_width"
    assert stored == set(old.split()) == set(Checkpoint.load(tiny_checkpoint).config.to_dict())
    assert TINY.to_dict()["swin_heads"] == [2, 2, 4]
    assert "swin_heads" not in ModelConfig(family="tic", width=128).to_dict()
    for config in (TINY, ModelConfig(), ModelConfig(family="tic", width=128)):
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    "wrong",
    [
        {"swin_depths": (1, 2)}, {"swin_depths": (0, 1, 1)}, {"swin_depths": (1, 2, 5000)},
        {"swin_heads": (3, 4, 4)}, {"swin_heads": (1, 2, 4, 8)}, {"swin_heads": 4},
        {"swin_window": 7}, {"swin_window": 34}, {"family": "heavy"},
    ],
)  # fmt: skip
def test_configs_that_make_no_sense(wrong):
    with pytest.raises((TypeError, ValueError)):
        ModelConfig.from_dict({**TINY.to_dict(), **wrong})


# --- training, coding -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The checkpoint of a run of six steps from the command line."""
    pytest.importorskip("compressai")
    from progcodec.lab.train import trainer
    from tests.support.tiny_training import options_of

    out = tmp_path_factory.mktemp("tic") / "tic.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "START_CROPS", 40)
        line = ["--family", "tic", "--steps", 6, *options_of(TINY, log_steps=2)]
        done = run("train", "--out", out, *line)
    assert f"{out.stat().st_size / 1e6:.1f} MB" in done.stdout
    return out


def test_training_leaves_a_checkpoint_that_says_tic(trained, tmp_path):
    checkpoint = Checkpoint.load(trained)
    assert checkpoint.config == TINY and checkpoint.metadata["steps"] == "6"
    again = tmp_path / "again.safetensors"
    run("export", f"{trained}.state.pt", "-o", again)
    assert Checkpoint.load(again).fingerprint == checkpoint.fingerprint
    other = Checkpoint(ModelConfig(**SMALL), checkpoint.tensors)
    # the same tensors, said to be of the other family
    assert other.fingerprint != checkpoint.fingerprint
    with pytest.raises(CheckpointError):
        other.build()


def test_every_part_learns(trained):
    """Also what starts silent, and with a class term; every parameter in every call, as
    DistributedDataParallel demands.
    """
    from progcodec.lab.train.step import Step
    from progcodec.lab.train.teacher import Input, Teacher
    from progcodec.lab.train.trainer import Trainer
    from tests.lab.test_class_term import Linear, term
    from tests.support.tiny_training import CROP, settings

    trainer = Trainer(settings(trained, resume=f"{trained}.state.pt"), torch.device("cpu"))
    crops = torch.randint(
        0, 256, (2, 3, CROP, CROP), generator=torch.Generator().manual_seed(0)
    ).byte()
    classes = term(Teacher("linear", Linear(), Input(32, 32, (0.5, 0.5, 0.5), (0.25, 0.5, 0.5))))
    uncapped = replace(trainer.settings, class_push=None)
    step = Step(trainer.model, trainer.bottleneck, uncapped, classes)
    plain = step(crops)
    judged = step(crops, crops, [0, 1])
    assert "class_fine" in judged.measured and "class_fine" not in plain.measured
    judged.total.backward()
    for name, parameter in trainer.weights.named_parameters():
        assert parameter.grad is not None, name
        if name.startswith(("model.analysis.", "model.synthesis.")):
            assert parameter.grad.abs().max() > 0 and parameter.abs().max() > 0, name


def test_files_of_a_tic_model_are_cut_like_any_other(trained, small_photograph):
    codec = Codec.load(trained, "cpu")
    data = codec.encode(small_photograph)
    whole = codec.decode_latent(data)
    assert data == codec.encode(small_photograph) and whole.received == whole.total
    for size in (len(data) // 4, len(data) // 2, 3 * len(data) // 4):
        part = codec.decode_latent(data[:size])
        for k, (start, end) in enumerate(pairwise(TINY.offsets)):
            if part.received[k + 1] == part.total[k + 1]:
                assert (part.q[start:end] == whole.q[start:end]).all()
        assert ((part.q == whole.q) | (part.q == 0)).all() and sum(part.received) < sum(part.total)
        assert codec.decode(data[:size]).size == small_photograph.size


def test_the_start_is_a_block_transform(photograph):
    """Silent branches, so the transforms are linear; fine latents hold the picture well before any
    training.
    """
    from progcodec.image import as_tensor
    from progcodec.lab.train.initialise_tic import initialise_tic

    torch.manual_seed(0)
    pixels = as_tensor(photograph)[0, :, :384, :640]
    tiles = pixels.unfold(1, 64, 64).unfold(2, 64, 64).permute(1, 2, 0, 3, 4)
    crops = tiles.reshape(-1, 3, 64, 64)[::3]
    sizes = {"width": 48, "blocks": (16, 64, 80), "mean_width": 16, "scale_width": 16}
    model = Model(ModelConfig(family="tic", swin_heads=(2, 2, 2), **sizes))
    initialise_tic(model, crops)
    with torch.no_grad():
        y = model.analysis(crops)
        errors = [(model.synthesis(hat) - crops).square().mean() for hat in (y.round(), y)]
        rounded, exact = (-10 * float(error.log10()) for error in errors)
        grey = model.analysis(torch.full_like(crops, 0.5))
        dimmed = model.analysis(0.5 * crops + 0.25)
        torch.testing.assert_close(dimmed, 0.5 * (y + grey), rtol=1e-3, atol=1e-3)
    assert 24 < rounded < exact
    for stage in (*model.analysis.stages, *model.synthesis.stages):
        spread = stage.blocks[0].norm1.spread
        assert (spread >= 0.5).all() and spread.max() > 10
    for layer in (*model.analysis.convolutions[:3], *model.synthesis.convolutions[1:3]):
        outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        # no channel is dead
        assert (layer.weight.transpose(0, outputs).flatten(1).abs().sum(1) > 0).all()


@pytest.mark.slow
def test_compiled_tic_is_the_same():
    """Traced as the compiler would see it, without the wait for a compiler."""
    plain = stirred(TicAnalysis(TINY)).requires_grad_()
    x = torch.rand(1, 3, 48, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = []
    for compiled in (False, True):
        if compiled:
            plain.compile(backend="aot_eager")
        plain.zero_grad()
        y = plain(x)
        y.square().sum().backward()
        found.append((y.detach(), [parameter.grad.clone() for parameter in plain.parameters()]))
    torch.testing.assert_close(found[1], found[0])
