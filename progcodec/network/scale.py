"""The integer scale path: ẑ and |q| of earlier blocks, integers, to the σ-index of every symbol, an
integer.

    ẑ ─3×3─↑2─3×3─↑2─► F ─3×3─1×1─► base index ─────────────────────────────┐
                       [F; ℓ(|q| of earlier blocks)] ─1×1─3×3─1×1─► Δ ──────(+)─► σ-index of block k

Every bit of a stream depends on this file, so it is exact: activations are unsigned 8-bit integers,
weights signed 8-bit, and an accumulator never reaches 2^24 in magnitude (Σ|w|·255 + |b| < 2^24 for
each output channel), so that a matrix product in floating point holds every partial sum exactly,
whatever its order of summation. Convolutions are matrix products, tap by tap, never an algorithm
that changes factors (Winograd, FFT). Requantisation is floor((acc·m + 2^23) / 2^24) with an integer
m, in float64, where all of it is exact. Every factor is below 2^8, so it fits in bfloat16 and TF32
too: a process-wide setting that lowers the precision of float32 products rounds factors alone, and
changes nothing here. Autocast would round results; it is off here.

Training runs the very same :func:`integer_layer` on weights that are rounded on the fly, with
straight-through gradients.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.config import SCALE_COUNT, ModelConfig
from progcodec.network.quality import index_map, magnitude_table

ACTIVATION_MAX = 255
ACTIVATION_STEPS = 16
"""Integer activations per unit of the real network; also the fractions of an index."""
SHIFT = 24
"""Bits of the requantisation shift."""
WEIGHT_MAX = 127
WEIGHT_SUM_MAX = 64_000
"""Σ|w| per output channel, before rounding; rounding adds at most half a step per weight."""
BIAS_MAX = 150_000
ACCUMULATOR_LIMIT = 2**24
INDEX_RANGE = (-(2**12), 2**12)
"""Of a base or Δ output, in 1/16 of an index; far from what is used, and exact."""
INDEX_CENTRE = 24
"""Added to every base index, so that untrained networks start at σ = 1.2 and biases stay small."""
ALL = slice(None)


def magnitude(q: Tensor, quality: int = 0) -> Tensor:
    """ℓ(|q|·step): symbols as they enter the scale path. Floats, on the same device."""
    dtype = q.dtype if q.is_floating_point() else torch.float64
    return _magnitudes(quality, q.device, dtype)[q.abs().long()]


@cache
def _magnitudes(quality: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(magnitude_table(quality), device=device, dtype=dtype)


class _Straight(torch.autograd.Function):
    """Forward: ``hard``. Backward: the gradient goes to ``soft`` unchanged."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor, hard: Tensor) -> Tensor:
        return hard

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def straight_through(soft: Tensor, hard: Tensor) -> Tensor:
    return _Straight.apply(soft, hard)


def _product(x: Tensor, weight: Tensor, kernel: int) -> Tensor:
    """A convolution without its bias, (N, outputs, H, W'), of which the first W columns count.

    One matrix product for each tap, summed in place: over pictures whose rows, padding and all, lie
    one behind the other, a tap is a shift, and nothing is copied for it.
    """
    n, channels, height, width = x.shape
    border = kernel // 2
    # one row more, into which the last taps reach
    padded = F.pad(x, (border, border, border, border + 1)) if border else x
    row = width + 2 * border
    flat = padded.reshape(n, channels, -1)
    taps = weight.reshape(len(weight), channels, -1).permute(2, 0, 1).contiguous()
    shifts = [top * row + left for top in range(kernel) for left in range(kernel)]
    total = None
    for tap, shift in zip(taps, shifts, strict=True):
        factors = tap.expand(n, -1, -1), flat[:, :, shift : shift + height * row]
        total = torch.bmm(*factors) if total is None else total.baddbmm_(*factors)
    assert total is not None
    return total.view(n, -1, height, row)


def integer_layer(
    x: Tensor, weight: Tensor, bias: Tensor, multiplier: Tensor, kernel: int, low: int, high: int
) -> Tensor:
    """One quantised convolution ("same" zero padding).

    All tensors hold integers in a floating-point dtype.

    Args:
        x: (N, C, H, W), float32 or float64, in 0..255 (ẑ: −127..127).
        weight: (outputs, C·kernel²) in −127..127, same dtype as x.
        bias: (outputs,), in accumulator units, same dtype.
        multiplier: (outputs,), float64, in 0..2^24.
        low, high: clamp of the result.
    Returns:
        clamp(floor((acc·m + 2^23) / 2^24)), (N, outputs, H, W), dtype of x.
    """
    if not x.dtype == weight.dtype == bias.dtype or x.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"the scale path runs in one of float32 and float64, not {x.dtype} and {weight.dtype}"
        )
    with torch.autocast(x.device.type, enabled=False):
        accumulator = _product(x, weight, kernel) + bias[:, None, None]
    factor = multiplier[:, None, None] * 2.0**-SHIFT
    hard = accumulator.detach().double().mul_(factor).add_(0.5).floor_()
    if torch.is_grad_enabled() and accumulator.requires_grad:
        soft = accumulator * factor.to(accumulator.dtype)
        result = straight_through(soft, hard.to(x.dtype)).clamp(low, high)
    else:
        result = hard.clamp_(low, high).to(x.dtype)
    return result[..., : x.shape[3]]


class ExactConv(nn.Module):
    """A convolution that computes in integers.

    Args:
        unit: integer steps of the input per unit of the real network (16 for activations, 1 for ẑ).
        signed: True for an output layer (range of an index), False for a rectified 8-bit
            activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        unit: int = ACTIVATION_STEPS,
        signed: bool = False,
    ) -> None:
        super().__init__()
        self.kernel, self.unit = kernel, unit
        self.low, self.high = INDEX_RANGE if signed else (0, ACTIVATION_MAX)
        self.make(outputs, inputs * kernel * kernel)

    def make(self, outputs: int, taps: int) -> None:
        """Weights (outputs, taps) and what goes with them."""
        raise NotImplementedError

    def integers(self) -> tuple[Tensor, ...]:
        """(weight, bias, multiplier), integers as floats."""
        raise NotImplementedError

    def forward(self, x: Tensor, outputs: slice = ALL) -> Tensor:
        """``outputs``: the output channels that are wanted."""
        weight, bias, multiplier = (part[outputs] for part in self.integers())
        return integer_layer(x, weight, bias, multiplier, self.kernel, self.low, self.high)


class IntegerConv(ExactConv):
    """The trained form: floats, whose integers have straight-through gradients."""

    def make(self, outputs: int, taps: int) -> None:
        gain = 0.1 if self.low else math.sqrt(2.0)
        self.weight = nn.Parameter(torch.randn(outputs, taps) * (gain / math.sqrt(taps)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def integers(self) -> tuple[Tensor, ...]:
        magnitudes = self.weight.detach().abs()
        scale = torch.maximum(magnitudes.amax(1) / WEIGHT_MAX, magnitudes.sum(1) / WEIGHT_SUM_MAX)
        scale = torch.maximum(scale, self.bias.detach().abs() * (self.unit / BIAS_MAX))
        scale = scale.clamp_min(1e-6)
        weight = self.weight / scale[:, None]
        weight = straight_through(weight, weight.detach().round().clamp(-WEIGHT_MAX, WEIGHT_MAX))
        bias = self.bias * (self.unit / scale)
        bias = straight_through(bias, bias.detach().round().clamp(-BIAS_MAX, BIAS_MAX))
        multiplier = scale.double() * (2.0**SHIFT * ACTIVATION_STEPS / self.unit)
        return weight, bias, multiplier.round().clamp(1, 2**SHIFT)


class FrozenConv(ExactConv):
    """The exported form: three integer buffers, no parameters, float32 arithmetic."""

    weight: Tensor
    bias: Tensor
    multiplier: Tensor

    def make(self, outputs: int, taps: int) -> None:
        self.register_buffer("weight", torch.zeros(outputs, taps, dtype=torch.int8))
        self.register_buffer("bias", torch.zeros(outputs, dtype=torch.int32))
        self.register_buffer("multiplier", torch.zeros(outputs, dtype=torch.int32))
        self._exact: tuple[Tensor, ...] | None = None

    def check(self) -> None:
        """Raises ValueError unless the accumulator bound and the multiplier range hold."""
        bound = self.weight.long().abs().sum(1) * ACTIVATION_MAX + self.bias.long().abs()
        if int(bound.max()) >= ACCUMULATOR_LIMIT:
            raise ValueError("an accumulator of the scale path could reach 2^24")
        if int(self.multiplier.min()) < 1 or int(self.multiplier.max()) > 2**SHIFT:
            raise ValueError("a multiplier of the scale path lies outside 1..2^24")

    def integers(self) -> tuple[Tensor, ...]:
        if self._exact is None:
            self._exact = self.weight.float(), self.bias.float(), self.multiplier.double()
        return self._exact


class ScalePath(nn.Module):
    """σ-indices from integers.

    Trainable as built; ``frozen=True`` builds the exported form with the same names.

    Call :meth:`features` once, then :meth:`index` for each block in order, each time with the
    *whole* earlier blocks.
    """

    def __init__(self, config: ModelConfig, frozen: bool = False) -> None:
        super().__init__()
        conv = FrozenConv if frozen else IntegerConv
        width = config.scale_width
        self.offsets = config.offsets
        self.up = nn.ModuleList(
            (conv(config.hyper_channels, 4 * width, 3, unit=1), conv(width, 4 * width, 3))
        )
        self.body = conv(width, width, 3)
        self.base = conv(width, config.latent_channels, 1, signed=True)
        self.delta = nn.ModuleList(
            nn.ModuleList(
                (
                    conv(width + self.offsets[k], width, 1),
                    conv(width, width, 3),
                    conv(width, count, 1, signed=True),
                )
            )
            for k, count in enumerate(config.blocks)
            if k > 0 and config.delta
        )

    def features(self, z: Tensor, height: int, width: int) -> Tensor:
        """F, integers in 0..255, (N, C, height, width), from integer ẑ (N, C, ⌈h/4⌉, ⌈w/4⌉)."""
        for layer in self.up:
            z = F.pixel_shuffle(layer(z), 2)
        return self.body(z[:, :, :height, :width])

    def index(
        self, block: int, features: Tensor, earlier: Tensor | None, qualities: Sequence[int] = ()
    ) -> Tensor:
        """σ-index of block ``block``, integers in 0..63, (N, blocks[block], h, w).

        Args:
            earlier: q of all blocks before it, whole, (N, offsets[block], h, w); None for block 0.
            qualities: of each of the N streams; empty is 0 for all.
        """
        base = self.base(features, slice(self.offsets[block], self.offsets[block + 1]))
        total = base + ACTIVATION_STEPS * INDEX_CENTRE
        if earlier is not None:
            if earlier.shape[1] != self.offsets[block]:
                raise ValueError("the scale path needs every earlier block, whole")
            if self.delta:
                x = torch.cat((features, _loudness(earlier, qualities).to(features.dtype)), 1)
                layers = self.delta[block - 1]
                assert isinstance(layers, nn.ModuleList)
                for layer in layers:
                    x = layer(x)
                total = total + x
        hard = torch.floor((total.detach() + ACTIVATION_STEPS // 2) / ACTIVATION_STEPS)
        if torch.is_grad_enabled() and total.requires_grad:
            return straight_through(total / ACTIVATION_STEPS, hard).clamp(0, SCALE_COUNT - 1)
        hard.clamp_(0, SCALE_COUNT - 1)
        return _moved(hard, qualities) if any(qualities) else hard


def _moved(indexes: Tensor, qualities: Sequence[int]) -> Tensor:
    """σ-indexes of a batch as each stream's quality moves them."""
    moved = [
        indexes.new_tensor(index_map(quality))[own.long()]
        for quality, own in zip(qualities, indexes, strict=True)
    ]
    return torch.stack(moved)


def _loudness(q: Tensor, qualities: Sequence[int]) -> Tensor:
    """:func:`magnitude` of a batch, each stream at its own quality."""
    if not any(qualities):
        return magnitude(q)
    return torch.cat(
        [magnitude(own, quality) for own, quality in zip(q.split(1), qualities, strict=True)]
    )
