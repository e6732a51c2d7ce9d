"""The rate–distortion objective.

L = Σ_k [ BPP_k + λ_k·255²·MSE(X̂_<k, X) ], plus the same for one random cut, with its own λ: every
prefix is a level. BPP_k counts ẑ and all blocks up to level k. (The class term γ_k·CE_k(X̂_<k) of
the full objective is in ``class_term.py``, one pass of the codec in ``differentiable.py``.) An
image's second decoding is reweighted by the probability of its kind.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from progcodec.lab.train.differentiable import SECOND_PASS, Forward, constants

SECOND_PASS_WITHOUT_CUT = (0.5, 0.5, 0.0)


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
