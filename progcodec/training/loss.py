"""The differentiable codec and its rate–distortion objective.

L = Σ_k [ BPP_k + λ_k·255²·MSE(X̂_<k, X) ], plus the same distortion term for one random cut. BPP_k counts ẑ and all blocks up to
k. Rates use additive noise; everything that a decoder would hold (contexts, |q|, the latent) uses hard-rounded values with
straight-through gradients. Each synthesis pass is dear, so every image is decoded twice: at the fine level, and at one of
{coarse, intermediate, random cut}, drawn per image and reweighted by its probability.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from progcodec.config import Q_MAX
from progcodec.network.model import Model
from progcodec.network.scale import scale_of, straight_through

LIKELIHOOD_FLOOR = 1e-9
SECOND_PASS = (0.3, 0.3, 0.4)
"""Probabilities of coarse, intermediate and random cut as an image's second decoding."""


@dataclass(frozen=True)
class LossWeights:
    """λ of the coarse, intermediate and fine level, and the weight of the random cut beside a level's 1."""

    distortion: tuple[float, float, float] = (7e-4, 5e-3, 3e-2)
    cut: float = 1.0

    def __post_init__(self) -> None:
        if len(self.distortion) != 3 or min(self.distortion) <= 0 or self.cut < 0:
            raise ValueError("three positive λ and a cut weight of at least 0 are needed")


PRESETS = {"shipped": LossWeights(), "paper": LossWeights((1e-4, 1e-3, 1e-2))}


class Forward(NamedTuple):
    """What one pass of the codec gives, per image (N,) unless said otherwise."""

    hyper_bits: Tensor
    block_bits: tuple[Tensor, Tensor, Tensor]
    fine: Tensor  # reconstruction from every symbol, (N, 3, H, W)
    second: Tensor  # reconstruction from the prefix that was drawn, (N, 3, H, W)
    kind: Tensor  # 0 coarse, 1 intermediate, 2 random cut
    cut_bits: Tensor  # bits of that prefix, hyperlatent included


def _gaussian_bits(value: Tensor, scale: Tensor) -> Tensor:
    """−log2 of the mass of a zero-mean Gaussian on [value ± ½]; all float32, any one shape."""
    value = value.abs()
    upper = torch.special.ndtr((0.5 - value) / scale)
    lower = torch.special.ndtr((-0.5 - value) / scale)
    return -torch.log2((upper - lower).clamp_min(LIKELIHOOD_FLOOR))


def _round(x: Tensor) -> Tensor:
    return straight_through(x, x.detach().round().clamp(-Q_MAX, Q_MAX))


def _received(indexes: Tensor, bits: Tensor, offsets: tuple[int, ...], hyper_bits: Tensor, kind: Tensor):
    """Mask (N, C, h, w) of the symbols in the drawn prefix, in the order of the bitstream, and the prefix's bits (N,)."""
    n, channels = indexes.shape[:2]
    block = torch.zeros(channels, device=indexes.device)
    for start in offsets[1:-1]:
        block[start:] += 1
    key = (block[:, None, None] * 64 + (63 - indexes)).reshape(n, -1)
    order = key.argsort(dim=1, stable=True)
    cumulative = hyper_bits[:, None] + bits.reshape(n, -1).gather(1, order).cumsum(1)
    low, high = (hyper_bits + 1).log(), (cumulative[:, -1] + 2).log()
    budget = (low + (high - low) * torch.rand(n, device=bits.device)).exp()
    in_cut = torch.empty_like(key, dtype=torch.bool).scatter_(1, order, cumulative <= budget[:, None])
    in_level = block[None, :, None, None].expand_as(indexes).reshape(n, -1) <= kind[:, None]
    return torch.where(kind[:, None] == 2, in_cut, in_level).reshape(indexes.shape), budget


def forward(model: Model, bottleneck: nn.Module, x: Tensor) -> Forward:
    """Encodes x (N, 3, H, W) in [0, 1] and decodes two prefixes. ``bottleneck`` is compressai's EntropyBottleneck."""
    exact = torch.autocast(x.device.type, enabled=False)
    offsets = model.config.offsets
    n = x.shape[0]

    y = model.analysis(x).float()
    z = model.hyper_analysis(y).float()
    with exact:
        medians = bottleneck.quantiles[:, 0, 1].detach()[:, None, None]
        likelihood = bottleneck(z, training=True)[1]
        hyper_bits = -torch.log2(likelihood.clamp_min(LIKELIHOOD_FLOOR)).sum((1, 2, 3))
        z_integer = _round(z - medians)
        features = model.scale_path.features(z_integer, *y.shape[2:])
    prior = model.mean_path.prior(z_integer + medians, *y.shape[2:])

    means, symbols, indexes, bits = [], [], [], []
    prefix = None
    for k in range(len(model.config.blocks)):
        mean = model.mean_path.mean(k, prior, prefix).float()
        with exact:
            index = model.scale_path.index(k, features, torch.cat(symbols, 1) if symbols else None)
            residual = y[:, offsets[k] : offsets[k + 1]] - mean
            noisy = residual + torch.empty_like(residual).uniform_(-0.5, 0.5)
            bits.append(_gaussian_bits(noisy, scale_of(index)))
            indexes.append(index.detach())
            symbols.append(_round(residual))
        means.append(mean)
        hat = mean + symbols[-1]
        prefix = hat if prefix is None else torch.cat((prefix, hat), 1)
    fine = model.synthesis(prefix).float()

    kind = torch.multinomial(torch.tensor(SECOND_PASS, device=x.device), n, replacement=True)
    with torch.no_grad():
        received, cut_bits = _received(torch.cat(indexes, 1), torch.cat(bits, 1), offsets, hyper_bits, kind)
    kept = torch.cat(symbols, 1) * received
    prefix = means[0] + kept[:, : offsets[1]]
    for k in range(1, len(means)):
        mean = model.mean_path.mean(k, prior, prefix).float()
        prefix = torch.cat((prefix, mean + kept[:, offsets[k] : offsets[k + 1]]), 1)
    second = model.synthesis(prefix).float()
    return Forward(hyper_bits, tuple(b.sum((1, 2, 3)) for b in bits), fine, second, kind, cut_bits)


def _cut_lambda(weights: LossWeights, out: Forward) -> Tensor:
    """λ for a random cut (N,): log-linear in the log of bits between the level ends, as a power of 2 below the coarse end."""
    ends = [out.hyper_bits + out.block_bits[0]]
    ends += [ends[0] + out.block_bits[1]]
    ends += [ends[1] + out.block_bits[2]]
    log_bits = out.cut_bits.log()
    log_ends = [end.detach().log() for end in ends]
    log_lambda = [math.log(value) for value in weights.distortion]
    result = log_lambda[0] + 2 * (log_bits - log_ends[0]).clamp_max(0)
    for k in (0, 1):
        fraction = ((log_bits - log_ends[k]) / (log_ends[k + 1] - log_ends[k]).clamp_min(1e-3)).clamp(0, 1)
        result = result + fraction * (log_lambda[k + 1] - log_lambda[k])
    return result.exp()


def objective(out: Forward, x: Tensor, weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss (scalar) and what it is made of: bits per pixel of each part, squared errors per image."""
    pixels = x.shape[2] * x.shape[3]
    hyper = out.hyper_bits / pixels
    blocks = [b / pixels for b in out.block_bits]
    levels = len(blocks)
    rate = levels * hyper + sum((levels - k) * b for k, b in enumerate(blocks))

    error_fine = (out.fine - x).square().mean((1, 2, 3))
    error_second = (out.second - x).square().mean((1, 2, 3))
    share = torch.tensor(SECOND_PASS, device=x.device)
    factors = torch.stack(
        (
            torch.full_like(hyper, weights.distortion[0]),
            torch.full_like(hyper, weights.distortion[1]),
            weights.cut * _cut_lambda(weights, out),
        ),
        1,
    )
    factor = (factors / share).gather(1, out.kind[:, None])[:, 0]
    distortion = 255**2 * (weights.distortion[2] * error_fine + factor * error_second)
    loss = (rate + distortion).mean()
    parts = {"hyper": hyper, "block1": blocks[0], "block2": blocks[1], "block3": blocks[2]}
    return loss, {**{k: v.detach() for k, v in parts.items()}, "fine": error_fine.detach(), "second": error_second.detach()}
