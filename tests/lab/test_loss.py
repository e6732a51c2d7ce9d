"""The training forward is the codec, and its objective trains all of it."""

import copy
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("compressai")

from progcodec.bitstream.ordering import coding_order
from progcodec.codec.codec import Codec
from progcodec.lab.train import differentiable, loss
from progcodec.lab.train.trainer import Trainer, train
from progcodec.network.checkpoint import Checkpoint
from tests.support.tiny_training import (  # noqa: F401
    PHOTOGRAPH,
    TINY,
    few_start_crops,
    read_state,
    settings,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The same after forty steps at a high learning rate, so that no part of the model is as it
    began.
    """
    out = tmp_path_factory.mktemp("trained") / "trained.safetensors"
    train(settings(out, steps=40, warmup=5, ema=0.9, log_steps=30))
    return out


@pytest.fixture
def trainer(trained) -> Trainer:
    return Trainer(settings(trained, resume=f"{trained}.state.pt"), torch.device("cpu"))


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """Float (4, 3, 64, 96) in [0, 1]."""
    with Image.open(PHOTOGRAPH) as image:
        pixels = np.asarray(image.convert("RGB"))
    pieces = [
        pixels[top : top + 64, left : left + 96]
        for top, left in ((100, 50), (200, 300), (300, 500), (30, 400))
    ]
    return torch.from_numpy(np.stack(pieces)).permute(0, 3, 1, 2).float() / 255


def mean_loss(path: Path, crops: torch.Tensor) -> float:
    """A state's objective, the mean over fixed draws of cuts and noise, which vary more than it
    falls in few steps.
    """
    state = Trainer(settings(path, resume=f"{path}.state.pt"), torch.device("cpu"))
    torch.manual_seed(5)
    with torch.no_grad():
        draws = [differentiable.forward(state.model, state.bottleneck, crops) for _ in range(12)]
    shipped = loss.PRESETS["shipped"]
    return float(np.mean([float(loss.objective(out, crops, shipped)[0]) for out in draws]))


@pytest.mark.slow
def test_the_loss_falls(trained, crops, tmp_path):
    start = tmp_path / "start.safetensors"
    train(settings(start, steps=1, warmup=10**6))  # the start, and one step that is none
    assert mean_loss(trained, crops) < 0.99 * mean_loss(start, crops)


def test_the_trained_codec_is_the_exported_one(trainer, trained, crops, monkeypatch):
    """Hard symbols and σ-indices of the training forward, on the exported weights, against those of
    the codec.
    """
    checkpoint = Checkpoint.load(trained)
    codec = Codec.load(trained, "cpu")
    trainer.weights.load_state_dict(trainer.average)
    model = copy.deepcopy(trainer.model)
    own = ("tables.", "scale_path.")
    stored = checkpoint.tensors.items()
    exported = {name: value.float() for name, value in stored if not name.startswith(own)}
    missing, unexpected = model.load_state_dict(exported, strict=False)
    assert not unexpected and all(name.startswith("scale_path.") for name in missing)

    rounded, indexes = [], []
    round_, received = differentiable._round, differentiable._received

    def watched(coded, *rest):
        indexes.append(coded.indexes)
        return received(coded, *rest)

    monkeypatch.setattr(
        differentiable, "_round", lambda x: rounded.append(round_(x)) or rounded[-1]
    )
    monkeypatch.setattr(differentiable, "_received", watched)
    with torch.no_grad():
        differentiable.forward(model, trainer.bottleneck, crops)
    z, symbols = rounded[0], torch.cat(rounded[1:], 1)
    latents = codec.decode_latents(codec.encode_batch(list(crops)))
    decoded = np.stack([latent.q for latent in latents])
    # equality of zeros would prove nothing
    assert (symbols != 0).float().mean() > 0.01 and len(z.unique()) > 2
    # Floats within rounding of a tie may fall on either side, as the two forwards order their sums
    # differently.
    assert (np.stack([latent.z for latent in latents]) != z.numpy()).mean() < 0.005
    assert (decoded != symbols.numpy()).mean() < 0.005

    offsets = TINY.offsets
    with torch.inference_mode():
        features = codec.walker.scale_path.features(z.float(), *symbols.shape[2:])
        for k in range(len(TINY.blocks)):
            earlier = symbols[:, : offsets[k]].float() if k else None
            frozen = codec.walker.scale_path.index(k, features, earlier)
            assert torch.equal(frozen, indexes[0][:, offsets[k] : offsets[k + 1]].float())
    assert len(indexes[0].unique()) > 5


@pytest.mark.parametrize("ranked", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_received_symbols_are_prefixes_of_the_coding_order(seed, ranked):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    n, offsets, ends, size = 30, TINY.offsets, TINY.level_offsets, (3, 4)
    indexes = torch.randint(0, 64, (n, offsets[-1], *size), generator=generator).float()
    bits = torch.rand(indexes.shape, generator=generator) * 3
    z_bits = torch.rand((n, 5, 1, 1), generator=generator) * 16 * torch.arange(5)[:, None, None]
    hyper, none = z_bits.sum((1, 2, 3)), torch.empty(0)
    coded = differentiable.Coded(hyper, z_bits, none, none, bits, indexes, none, none)
    kind = torch.arange(n) % 3
    budget = differentiable._budget(coded, kind, 1, None)
    ranks = torch.randint(0, 256, (offsets[-1], 64), generator=generator).to(torch.uint8)
    given = ranks.float() if ranked else None
    mask = differentiable._received(coded, TINY, kind, budget, priorities=given)
    there = differentiable._hyper_received(coded, 2, kind, budget)
    assert mask.shape == indexes.shape and mask.dtype == torch.bool
    for level in (0, 1):
        own = mask[kind == level]
        assert own[:, : ends[level + 1]].all() and not own[:, ends[level + 1] :].any()
        assert there[kind == level].all()
    # Cuts inside of ẑ: two channels first, each part in falling cost; nothing of what follows.
    torn = ~there.flatten(1).all(1)
    assert torn.any() and not mask[torn].any()
    assert (torch.diff(there[:, [1, 0, 4, 3, 2], 0, 0].int(), dim=1) <= 0).all()
    lengths = []
    for i in (kind == 2).nonzero()[:, 0].tolist():
        blocks = [indexes[i, a:b].numpy().astype(np.uint8) for a, b in itertools.pairwise(offsets)]
        rows = [ranks[a:b].numpy() if ranked else None for a, b in itertools.pairwise(offsets)]
        orders = [coding_order(block, own)[0] for block, own in zip(blocks, rows, strict=True)]
        starts = zip(orders, offsets, strict=False)
        order = torch.from_numpy(np.concatenate([o + 12 * start for o, start in starts]))
        there = mask[i].reshape(-1)[order]
        count = int(there.sum())
        assert there[:count].all()
        spent = hyper[i] + bits[i].reshape(-1)[order].cumsum(0)
        assert count == 0 or spent[count - 1] <= budget[i] * (1 + 1e-5)
        assert count == len(order) or spent[count] > budget[i] * (1 - 1e-5)
        lengths.append(count)
    assert len(set(lengths)) > 3


def test_cuts_can_be_drawn_from_a_range(trainer, crops):
    """Of bits per pixel, log-uniform; λ below the coarse end falls as fast as it is told."""
    torch.manual_seed(0)
    pixels, rates = crops.shape[2] * crops.shape[3], []
    for _ in range(25):
        prefixes = differentiable.Prefixes(cut_range=(0.5, 2.0))
        with torch.no_grad():
            out = differentiable.forward(
                trainer.model, trainer.bottleneck, crops, (0, 0, 1), prefixes
            )
        rates += (out.cut_bits / pixels).tolist()
    assert min(rates) >= 0.5 and max(rates) <= 2.0
    assert np.log2(rates).mean() == pytest.approx(0, abs=0.2)
    assert np.log2(rates).std() == pytest.approx(12**-0.5 * 2, abs=0.1)

    short = out._replace(cut_bits=out.hyper_bits / 4)
    shares, shortfall = loss.cut_place(short)
    assert (shares[:, 0] == 1).all() and (shortfall < 0).all()
    for relief in (0.0, 0.5, 2.0):
        falling = loss._cut_lambda(loss.LossWeights(relief=relief), short)
        expected = loss.PRESETS["shipped"].distortion[0] * (relief * shortfall).exp()
        torch.testing.assert_close(falling, expected)


def test_the_objective_is_finite_and_trains_everything(trainer, crops):
    torch.manual_seed(0)
    trainer.weights.zero_grad()
    seen = {name: 0.0 for name, _ in trainer.weights.named_parameters()}
    for _ in range(3):  # so that each kind of prefix is drawn
        out = differentiable.forward(trainer.model, trainer.bottleneck, crops)
        value, parts = loss.objective(out, crops, loss.PRESETS["shipped"])
        assert value.ndim == 0 and torch.isfinite(value)
        assert all(torch.isfinite(part).all() and part.shape == (4,) for part in parts.values())
        value.backward()
    for name, parameter in trainer.weights.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), name
            seen[name] = float(parameter.grad.abs().max())
    # The medians follow a loss of the bottleneck's own; the objective takes them as they are.
    assert {name for name, size in seen.items() if size == 0} == {"bottleneck.quantiles"}
    trainer.bottleneck.loss().backward()
    assert trainer.bottleneck.quantiles.grad.abs().max() > 0


def test_more_weight_on_distortion_costs_more(trainer, crops):
    torch.manual_seed(0)
    with torch.no_grad():
        out = differentiable.forward(trainer.model, trainer.bottleneck, crops)
    paper, shipped = (loss.PRESETS[name] for name in ("paper", "shipped"))
    assert loss.objective(out, crops, paper)[0] < loss.objective(out, crops, shipped)[0]
    # What ẑ tells of σ alone counts with all three levels, as often as it is told.
    dear = loss.objective(out, crops, replace(shipped, side=3.0))[0]
    extra = 2 * 3 * out.side_bits.mean() / (crops.shape[2] * crops.shape[3])
    torch.testing.assert_close(dear - loss.objective(out, crops, shipped)[0], extra)
    assert 0 < out.side_bits.min() and (out.side_bits <= out.hyper_bits).all()
    with pytest.raises(ValueError):
        replace(shipped, distortion=(1e-4, 0.0, 1e-2))
