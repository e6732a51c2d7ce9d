"""The differentiable codec: one pass of pictures through it, coded and decoded twice.

Rates use additive noise; everything that a decoder would hold (contexts, |q|, the latent) uses
hard-rounded values with straight-through gradients. A synthesis pass takes most of the time, so
every image is decoded twice: at the fine level, and at one of {coarse, intermediate, random cut},
drawn per image.
"""

import itertools
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from progcodec.bitstream.ordering import PRIORITY_MAX
from progcodec.config import Q_MAX, SCALE_COUNT, SCALE_MIN, ModelConfig
from progcodec.lab.train.tables import LOG_STEP
from progcodec.network.model import Model
from progcodec.network.scale import straight_through

LIKELIHOOD_FLOOR = 1e-9
SECOND_PASS = (0.3, 0.3, 0.4)
"""Probabilities of coarse, intermediate and random cut as an image's second decoding."""
NONE = 3
"""The kind of second decoding of an image that has none."""


class Prefixes(NamedTuple):
    """How prefixes are drawn, and made where it differs from the bitstream's own way (for
    ablations).

    Attributes:
        cut_range: random cuts lie between so many bits per pixel; None: between ẑ's end and the
            file's. Log-uniform.
        priorities: float (C, 64), of each channel and σ-index; None: all alike.
        zero_missing: ŷ = 0, not μ, where a symbol did not arrive.
        raster: symbols of a block come channel by channel, row by row, not by falling σ-index.
    """

    zero_missing: bool = False
    raster: bool = False
    cut_range: tuple[float, float] | None = None
    priorities: Tensor | None = None


AS_SENT = Prefixes()


@cache
def constants(values: tuple[float, ...], device: torch.device) -> Tensor:
    """float32, (count,), made once: each copy to a GPU would wait for all that it has to do."""
    return torch.tensor(values, dtype=torch.float32, device=device)


class Forward(NamedTuple):
    """What one pass of the codec gives, per image (N,) unless said otherwise."""

    hyper_bits: Tensor
    block_bits: tuple[Tensor, Tensor, Tensor]
    side_bits: Tensor  # of the part of ẑ that shows no picture
    fine: Tensor  # reconstruction from every symbol, (N, 3, H, W)
    second: Tensor  # reconstruction from the prefix that was drawn, (N, 3, H, W)
    kind: Tensor  # 0 coarse, 1 intermediate, 2 random cut, 3 none: the same as fine
    cut_bits: Tensor  # budget of a random cut, hyperlatent included
    cut_rate: Tensor  # bits of that prefix, with gradient


class Coded(NamedTuple):
    """The latent side of one pass: what is coded, what it costs, and what predicts it."""

    hyper_bits: Tensor  # (N,)
    z_bits: Tensor  # of every symbol of ẑ, from noisy values, (N, C, hz, wz)
    z: Tensor  # ẑ, integers, straight-through, (N, C, hz, wz)
    medians: Tensor  # of ẑ, (C, 1, 1)
    bits: Tensor  # of every symbol, (N, C, h, w), from noisy values
    indexes: Tensor  # σ-indices, no gradient, (N, C, h, w)
    symbols: Tensor  # q, hard-rounded, straight-through, (N, C, h, w)
    hat: Tensor  # ŷ from every symbol, (N, C, h, w)


def _gaussian_bits(value: Tensor, scale: Tensor) -> Tensor:
    """−log2 of the mass of a zero-mean Gaussian on [value ± ½]; all float32, any one shape."""
    value = value.abs()
    upper = torch.special.ndtr((0.5 - value) / scale)
    lower = torch.special.ndtr((-0.5 - value) / scale)
    return -torch.log2((upper - lower).clamp_min(LIKELIHOOD_FLOOR))


def _round(x: Tensor) -> Tensor:
    return straight_through(x, x.detach().round().clamp(-Q_MAX, Q_MAX))


def _budget(
    coded: Coded, kind: Tensor, pixels: int, cut_range: tuple[float, float] | None
) -> Tensor:
    """Bits of the drawn prefixes' random cuts, (N,); the ends of the range are bits per pixel."""
    whole = coded.hyper_bits + coded.bits.sum((1, 2, 3))
    low, high = coded.hyper_bits / 4, whole + 2
    if cut_range is not None:
        low, high = (torch.full_like(low, end * pixels) for end in cut_range)
    return low * (high / low) ** torch.rand(len(kind), device=kind.device)


def _hyper_received(coded: Coded, linear: int, kind: Tensor, budget: Tensor) -> Tensor:
    """Mask (N, C, hz, wz) of the symbols of ẑ in the drawn prefix: channels come in falling
    entropy, those that show a picture before those that only tell σ.
    """
    n = len(coded.z_bits)
    bits = coded.z_bits.sum((0, 2, 3))
    bits[:linear] += bits.sum()
    order = bits.argsort(descending=True)
    cumulative = coded.z_bits[:, order].reshape(n, -1).cumsum(1)
    there = torch.empty_like(coded.z_bits, dtype=torch.bool)
    there[:, order] = (cumulative <= budget[:, None]).reshape(there.shape)
    return there | (kind != 2)[:, None, None, None]


def _received(
    coded: Coded,
    config: ModelConfig,
    kind: Tensor,
    budget: Tensor,
    raster: bool = False,
    priorities: Tensor | None = None,
) -> Tensor:
    """Mask (N, C, h, w) of the symbols in the drawn prefix, in the order of the bitstream."""
    indexes = coded.indexes
    n, channels = indexes.shape[:2]
    counts = enumerate(config.blocks)
    block = constants(tuple(k for k, count in counts for _ in range(count)), indexes.device)
    place = torch.zeros_like(indexes) if raster else SCALE_COUNT - 1 - indexes
    if priorities is not None:
        rows = torch.arange(channels, device=indexes.device)[:, None, None]
        place = place + SCALE_COUNT * (PRIORITY_MAX - priorities[rows, indexes.long()])
    key = (block[:, None, None] * SCALE_COUNT * (PRIORITY_MAX + 1) + place).reshape(n, -1)
    order = key.argsort(dim=1, stable=True)
    cumulative = coded.hyper_bits[:, None] + coded.bits.reshape(n, -1).gather(1, order).cumsum(1)
    in_cut = torch.empty_like(key, dtype=torch.bool).scatter_(
        1, order, cumulative <= budget[:, None]
    )
    ends = constants((*config.level_offsets[1:], 0), indexes.device)[kind]
    in_level = torch.arange(channels, device=indexes.device) < ends[:, None]
    in_cut = in_cut.reshape(indexes.shape)
    return torch.where((kind == 2)[:, None, None, None], in_cut, in_level[:, :, None, None])


def code(model: Model, bottleneck: Any, y: Tensor) -> Coded:
    """Codes y (N, C, h, w), float32. ``bottleneck`` is compressai's EntropyBottleneck."""
    exact = torch.autocast(y.device.type, enabled=False)
    offsets = model.config.offsets
    z = model.hyper_analysis(y).float()
    with exact:
        medians = bottleneck.quantiles[:, 0, 1].detach()[:, None, None]
        likelihood = bottleneck(z, training=True)[1]
        hyper = -torch.log2(likelihood.clamp_min(LIKELIHOOD_FLOOR))
        hyper_bits = hyper.sum((1, 2, 3))
        z_integer = _round(z - medians)
        features = model.scale_path.features(z_integer, *y.shape[2:])
    prior = model.mean_path.prior(z_integer + medians, *y.shape[2:])

    symbols: list[Tensor] = []
    indexes: list[Tensor] = []
    bits: list[Tensor] = []

    def reply(k: int, mean: Tensor) -> Tensor:
        mean = mean.float()
        with exact:
            index = model.scale_path.index(k, features, torch.cat(symbols, 1) if symbols else None)
            residual = y[:, offsets[k] : offsets[k + 1]] - mean
            noisy = residual + torch.empty_like(residual).uniform_(-0.5, 0.5)
            bits.append(_gaussian_bits(noisy, SCALE_MIN * torch.exp(LOG_STEP * index)))
            indexes.append(index.detach())
            symbols.append(_round(residual))
        return mean + symbols[-1]

    hat = model.mean_path.walk(prior, reply)
    cost, index, symbol = (torch.cat(blocks, 1) for blocks in (bits, indexes, symbols))
    return Coded(hyper_bits, hyper, z_integer, medians, cost, index, symbol, hat)


def block_bits(coded: Coded, config: ModelConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Bits of each level, ẑ left out, per image (N,)."""
    coarse, intermediate, fine = (
        coded.bits[:, start:end].sum((1, 2, 3))
        for start, end in itertools.pairwise(config.level_offsets)
    )
    return coarse, intermediate, fine


def forward(
    model: Model,
    bottleneck: Any,
    x: Tensor,
    second_pass: tuple[float, float, float] | None = SECOND_PASS,
    prefixes: Prefixes = AS_SENT,
) -> Forward:
    """Encodes x (N, 3, H, W) in [0, 1] and decodes two prefixes.

    ``bottleneck`` is compressai's EntropyBottleneck.
    """
    n = x.shape[0]
    coded = code(model, bottleneck, model.analysis(x).float())
    rates = block_bits(coded, model.config)
    side = coded.z_bits[:, model.config.hyper_linear :].sum((1, 2, 3))
    whole = coded.hyper_bits + sum(rates)
    fine = model.synthesis(coded.hat).float()
    if second_pass is None:
        kind = torch.full((n,), NONE, device=x.device)
        return Forward(
            coded.hyper_bits, rates, side, fine, fine.detach(), kind, whole.detach(), whole
        )

    kind = torch.multinomial(constants(second_pass, x.device), n, replacement=True)
    with torch.no_grad():
        budget = _budget(coded, kind, x.shape[2] * x.shape[3], prefixes.cut_range)
        received = _received(
            coded, model.config, kind, budget, prefixes.raster, prefixes.priorities
        )
        there = _hyper_received(coded, model.config.hyper_linear, kind, budget)
    cut_rate = (coded.z_bits * there).sum((1, 2, 3)) + (coded.bits * received).sum((1, 2, 3))
    hat = _decoded(model, coded, received, there, prefixes.zero_missing)
    second = model.synthesis(hat).float()
    return Forward(coded.hyper_bits, rates, side, fine, second, kind, budget, cut_rate)


def _decoded(
    model: Model, coded: Coded, received: Tensor, there: Tensor, zero_missing: bool
) -> Tensor:
    """ŷ of the drawn prefixes, (N, C, h, w)."""
    offsets, kept = model.config.offsets, coded.symbols * received
    prior = model.mean_path.prior(coded.z * there + coded.medians, *kept.shape[2:])

    def reply(k: int, mean: Tensor) -> Tensor:
        channels = slice(offsets[k], offsets[k + 1])
        hat = mean.float() + kept[:, channels]
        return hat * received[:, channels] if zero_missing else hat

    return model.mean_path.walk(prior, reply)
