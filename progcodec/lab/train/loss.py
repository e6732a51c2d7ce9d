"""The differentiable codec and its rate–distortion objective.

L = Σ_k [ BPP_k + λ_k·255²·MSE(X̂_<k, X) ], plus the same for one random cut, with its own λ: every
prefix is a level. BPP_k counts ẑ and all blocks up to level k. (The class term γ_k·CE_k(X̂_<k) of
the full objective is in ``class_term.py``.) Rates use additive noise; everything that a decoder
would hold (contexts, |q|, the latent) uses hard-rounded values with straight-through gradients. A
synthesis pass takes most of the time, so every image is decoded twice: at the fine level, and at
one of {coarse, intermediate, random cut}, drawn per image and reweighted by its probability.
"""

import itertools
import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from progcodec.config import Q_MAX, SCALE_MIN, ModelConfig
from progcodec.lab.train.tables import LOG_STEP
from progcodec.network.model import Model
from progcodec.network.scale import straight_through

LIKELIHOOD_FLOOR = 1e-9
SECOND_PASS = (0.3, 0.3, 0.4)
"""Probabilities of coarse, intermediate and random cut as an image's second decoding."""
SECOND_PASS_WITHOUT_CUT = (0.5, 0.5, 0.0)
NONE = 3
"""The kind of second decoding of an image that has none."""


@dataclass(frozen=True)
class LossWeights:
    """λ and γ of the coarse, intermediate and fine level, and the weight of the random cut beside a
    level's 1 (0: no cuts).

    γ weighs nats of an image's cross-entropy against bits per pixel, at 256² pixels.

    Attributes:
        relief: power by which λ of a cut below the coarse end falls with its share of that end's
            bits. At 1, all cuts pull about equally hard where distortion falls by as much with each
            doubling of the bits.
        cut_rate: the bits of a random cut count too, as those of a level do.
        second: probabilities of coarse, intermediate and random cut as an image's second decoding;
            None: the usual ones.
        side: weight of the bits of those channels of ẑ that show no picture, beside any other
            bit's 1: what they tell of σ delays the picture.
    """

    distortion: tuple[float, float, float] = (7e-4, 5e-3, 3e-2)
    gamma: tuple[float, float, float] = (0.5, 1.0, 2.0)
    cut: float = 1.0
    relief: float = 2.0
    cut_rate: bool = False
    second: tuple[float, float, float] | None = None
    side: float = 1.0
    progressive: bool = field(default=True, repr=False)
    """False: rate and distortion of the fine level alone, as an ordinary codec is trained."""

    def __post_init__(self) -> None:
        for name in ("distortion", "gamma"):
            values = getattr(self, name)
            if not isinstance(values, (tuple, list)) or len(values) != 3 or min(values) < 0:
                raise ValueError(f"{name} must be three numbers, one for each level")
            object.__setattr__(self, name, tuple(values))
        if min(self.distortion) <= 0 or not self.cut >= 0:
            raise ValueError("three positive λ and a cut weight of at least 0 are needed")
        if not self.relief >= 0 or not self.side >= 0:
            raise ValueError("relief and side must be at least 0")
        if self.second is not None:
            if len(self.second) != 3 or min(self.second) < 0 or abs(sum(self.second) - 1) > 1e-6:
                raise ValueError("second must be three probabilities that sum to 1")
            if self.second[2] and not self.cut:
                raise ValueError("second draws cuts that weigh nothing")
            object.__setattr__(self, "second", tuple(self.second))

    @property
    def second_pass(self) -> tuple[float, float, float] | None:
        """Probabilities of what an image's second decoding is; None: it has none."""
        if not self.progressive:
            return None
        if self.second is not None:
            return self.second
        return SECOND_PASS if self.cut else SECOND_PASS_WITHOUT_CUT


PRESETS = {"shipped": LossWeights(), "paper": LossWeights((1e-4, 1e-3, 1e-2), (0.5, 1.0, 2.0))}


class Prefixes(NamedTuple):
    """How prefixes are drawn, and made where it differs from the bitstream's own way (for
    ablations).

    Attributes:
        cut_range: random cuts lie between so many bits per pixel; None: between ẑ's end and the
            file's. Log-uniform.
        zero_missing: ŷ = 0, not μ, where a symbol did not arrive.
        raster: symbols of a block come channel by channel, row by row, not by falling σ-index.
    """

    zero_missing: bool = False
    raster: bool = False
    cut_range: tuple[float, float] | None = None


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


def _gaussian_bits(value: Tensor, scale: Tensor) -> Tensor:
    """−log2 of the mass of a zero-mean Gaussian on [value ± ½]; all float32, any one shape."""
    value = value.abs()
    upper = torch.special.ndtr((0.5 - value) / scale)
    lower = torch.special.ndtr((-0.5 - value) / scale)
    return -torch.log2((upper - lower).clamp_min(LIKELIHOOD_FLOOR))


def _round(x: Tensor) -> Tensor:
    return straight_through(x, x.detach().round().clamp(-Q_MAX, Q_MAX))


def _budget(
    coded: "Coded", kind: Tensor, pixels: int, cut_range: tuple[float, float] | None
) -> Tensor:
    """Bits of the drawn prefixes' random cuts, (N,); the ends of the range are bits per pixel."""
    whole = coded.hyper_bits + coded.bits.sum((1, 2, 3))
    low, high = coded.hyper_bits / 4, whole + 2
    if cut_range is not None:
        low, high = (torch.full_like(low, end * pixels) for end in cut_range)
    return low * (high / low) ** torch.rand(len(kind), device=kind.device)


def _hyper_received(coded: "Coded", linear: int, kind: Tensor, budget: Tensor) -> Tensor:
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
    coded: "Coded", config: ModelConfig, kind: Tensor, budget: Tensor, raster: bool = False
) -> Tensor:
    """Mask (N, C, h, w) of the symbols in the drawn prefix, in the order of the bitstream."""
    indexes = coded.indexes
    n, channels = indexes.shape[:2]
    counts = enumerate(config.blocks)
    block = constants(tuple(k for k, count in counts for _ in range(count)), indexes.device)
    place = torch.zeros_like(indexes) if raster else 63 - indexes
    key = (block[:, None, None] * 64 + place).reshape(n, -1)
    order = key.argsort(dim=1, stable=True)
    cumulative = coded.hyper_bits[:, None] + coded.bits.reshape(n, -1).gather(1, order).cumsum(1)
    in_cut = torch.empty_like(key, dtype=torch.bool).scatter_(
        1, order, cumulative <= budget[:, None]
    )
    ends = constants((*config.level_offsets[1:], 0), indexes.device)[kind]
    in_level = torch.arange(channels, device=indexes.device) < ends[:, None]
    in_cut = in_cut.reshape(indexes.shape)
    return torch.where((kind == 2)[:, None, None, None], in_cut, in_level[:, :, None, None])


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
        received = _received(coded, model.config, kind, budget, prefixes.raster)
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


def cut_place(out: Forward) -> tuple[Tensor, Tensor]:
    """Where each random cut lies among the level ends, by the log of bits.

    Returns:
        Shares (N, 3) of the two levels that it lies between, rows sum to 1; and, for a cut below
        the coarse end, the log of its share of the coarse end's bits, else 0, (N,). No gradients.
    """
    ends = [out.hyper_bits + out.block_bits[0]]
    ends += [ends[0] + out.block_bits[1]]
    ends += [ends[1] + out.block_bits[2]]
    log_bits = out.cut_bits.log()
    log_ends = [end.detach().log() for end in ends]
    steps = [
        ((log_bits - log_ends[k]) / (log_ends[k + 1] - log_ends[k]).clamp_min(1e-3)).clamp(0, 1)
        for k in (0, 1)
    ]
    upper = torch.minimum(steps[0], steps[1])
    shares = torch.stack((1 - steps[0], steps[0] - upper, upper), 1)
    return shares, (log_bits - log_ends[0]).clamp_max(0)


def _cut_lambda(weights: LossWeights, out: Forward) -> Tensor:
    """λ for a random cut (N,): log-linear in the log of bits between the level ends, as a power of
    them below the coarse end.
    """
    shares, shortfall = cut_place(out)
    log_lambda = constants(tuple(map(math.log, weights.distortion)), shares.device)
    return (shares @ log_lambda + weights.relief * shortfall).exp()


def of_kind(
    values: tuple[Tensor, Tensor, Tensor], out: Forward, second_pass: tuple[float, float, float]
) -> Tensor:
    """For each image, the value (N,) of what its second decoding is, over the probability that it
    is that.
    """
    share = constants(second_pass, out.kind.device).clamp_min(1e-9)
    return (torch.stack(values, 1) / share).gather(1, out.kind[:, None])[:, 0]


def _errors(out: Forward, x: Tensor) -> Tensor:
    """Mean squared errors (N, 2) of both decodings."""
    errors = [(picture - x).square().mean((1, 2, 3)) for picture in (out.fine, out.second)]
    return torch.stack(errors, 1)


def _distortion_factors(out: Forward, weights: LossWeights) -> Tensor:
    """What an image's loss has of both errors, (N, 2)."""
    coarse, intermediate, fine = (
        torch.full_like(out.hyper_bits, value) for value in weights.distortion
    )
    if weights.second_pass is None:
        return 255**2 * torch.stack((fine, torch.zeros_like(fine)), 1)
    at_cut = weights.cut * _cut_lambda(weights, out)
    second = of_kind((coarse, intermediate, at_cut), out, weights.second_pass)
    return 255**2 * torch.stack((fine, second), 1)


@torch.no_grad()
def distortion_pull(out: Forward, x: Tensor, weights: LossWeights) -> Tensor:
    """How hard the objective pulls at each decoded picture: the norm of its gradient there,
    (N, 2).
    """
    values = x.shape[1] * x.shape[2] * x.shape[3]
    return 2 * _distortion_factors(out, weights) * (_errors(out, x) / values).sqrt() / len(x)


def objective(out: Forward, x: Tensor, weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss (scalar) and what it is made of: bits per pixel of each part, squared errors per
    image.
    """
    pixels = x.shape[2] * x.shape[3]
    hyper = out.hyper_bits / pixels
    blocks = [b / pixels for b in out.block_bits]
    levels = len(blocks) if weights.progressive else 1
    rate = levels * hyper + sum(max(levels - k, 1) * b for k, b in enumerate(blocks))
    rate = rate + (weights.side - 1) * levels * out.side_bits / pixels
    if weights.cut_rate:
        share = weights.second_pass
        assert share is not None
        zero = torch.zeros_like(out.cut_rate)
        rate = rate + weights.cut * of_kind((zero, zero, out.cut_rate / pixels), out, share)
    errors = _errors(out, x)
    loss = (rate + (_distortion_factors(out, weights) * errors).sum(1)).mean()
    names = "hyper", "block1", "block2", "block3", "fine", "second"
    parts = zip(names, (hyper, *blocks, *errors.unbind(1)), strict=True)
    return loss, {name: part.detach() for name, part in parts}
