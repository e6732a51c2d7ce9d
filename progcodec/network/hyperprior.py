"""Hyper analysis h_a and the float mean path: what μ is, given ẑ and the blocks that came before.

    y ─h_a─► z     ẑ ─h_s─► P ───────────────┐
                   ŷ of earlier blocks ─𝒞─► C ┴─[P;C]─ℋ─► M ─(+ ΔM, later blocks)─► μ of block k

𝒞 and ℋ are shared by all blocks (the paper's Fig. 3); later blocks are zero in 𝒞's input. μ moves
pixels only: it may differ between machines in its last bits, and no coded bit depends on it.
"""

from collections.abc import Callable, Generator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.config import HYPER_STRIDE, ModelConfig
from progcodec.network.depthwise import Depthwise
from progcodec.network.tiles import Tiling, over
from progcodec.network.transform import Block, Down, Pointwise, Up


class Precise(Pointwise):
    """In its weights' precision: what a symbol refines must not be rounded.

    So autocast is off, and a matrix product does it: GPUs round a convolution's factors to TF32.
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            last = x.to(self.weight.dtype).permute(0, 2, 3, 1)
            return F.linear(last, self.weight, self.bias).permute(0, 3, 1, 2)


class HyperAnalysis(nn.Module):
    """h_a: y (N, C, h, w) to z (N, hyper channels, ⌈h/4⌉, ⌈w/4⌉); y is replicated to a multiple of
    4 first.

    Most of what z must tell is how loud y is where, so log(1 + |y|) enters beside y. ``spread``
    holds about each channel's standard deviation: without it the few strongest components drown the
    others. ``linear`` adds to the first channels of z the lowest frequencies of the first block's
    channels, over 4×4 positions: the picture's first refinement.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.mean_width
        self.spread = nn.Parameter(torch.ones(config.latent_channels))
        self.layers = nn.Sequential(
            Pointwise(2 * config.latent_channels, width),
            Block(width),
            Down(width, width),
            Block(width),
            Down(width, config.hyper_channels, gain=3.0),
        )
        self.inputs = config.blocks[0]
        self.linear = None
        if config.hyper_linear:
            self.linear = Precise(self.inputs * HYPER_STRIDE**2, config.hyper_linear)

    def forward(self, y: Tensor) -> Tensor:
        pad_h, pad_w = -y.shape[2] % HYPER_STRIDE, -y.shape[3] % HYPER_STRIDE
        y = F.pad(y, (0, pad_w, 0, pad_h), mode="replicate")
        z = self.layers(torch.cat((y / self.spread[:, None, None], torch.log1p(y.abs())), 1))
        if self.linear is None:
            return z
        low = self.linear(F.pixel_unshuffle(y[:, : self.inputs], HYPER_STRIDE))
        return torch.cat((z[:, : low.shape[1]] + low, z[:, low.shape[1] :]), 1)


class DeltaMean(nn.Module):
    """ΔM of one block: depthwise residual block with a local attention gate, on ℋ's features and
    the ŷ of earlier blocks.

    ``skip`` is the linear prediction from those ŷ: a channel that refines an earlier one needs it
    exact, and undisturbed. It is all that is left where ``network`` is False.
    """

    def __init__(self, features: int, prefix: int, outputs: int, network: bool = True) -> None:
        super().__init__()
        self.network = network
        if network:
            self.enter = Pointwise(features + prefix, features)
            self.block = Block(features)
            self.gate = Depthwise(features, 5)
            self.leave = Pointwise(features, outputs, gain=0)
        self.skip = Precise(prefix, outputs, gain=0)

    def forward(self, features: Tensor, prefix: Tensor) -> Tensor:
        if not self.network:
            return self.skip(prefix)
        x = self.block(self.enter(torch.cat((features, prefix), 1)))
        return self.leave(x * torch.sigmoid(self.gate(x))) + self.skip(prefix)


class MeanPath(nn.Module):
    """The float mean path.

    Call :meth:`prior` once, then take its :meth:`steps`.

    ``spread`` holds about each latent channel's standard deviation: ŷ enters divided by it, μ
    leaves multiplied. ``linear`` takes back to the first block what h_a's linear branch tells of
    it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, channels = config.mean_width, config.latent_channels
        self.offsets, self.level_offsets = config.offsets, config.level_offsets
        self.width = width
        self.spread = nn.Parameter(torch.ones(channels))
        self.hyper_synthesis = nn.Sequential(
            nn.Conv2d(config.hyper_channels, 4 * width, 3, padding=1),
            nn.PixelShuffle(2),
            Block(width),
            Up(width, width),
        )
        self.linear = None
        if config.hyper_linear:
            self.linear = Precise(config.hyper_linear, config.blocks[0] * HYPER_STRIDE**2, gain=0)
        self.context = nn.Sequential(Pointwise(channels, width), Block(width))
        self.parameters_in = nn.Sequential(Pointwise(2 * width, width), Block(width), Block(width))
        self.parameters_out = Pointwise(width, channels, gain=0.1)
        self.delta = nn.ModuleList(
            DeltaMean(width, self.offsets[k], count, config.delta)
            for k, count in enumerate(config.blocks)
            if k > 0
        )

    def prior(self, z_hat: Tensor, height: int, width: int) -> Tensor:
        """P, and behind its channels the first block's linear prediction if there is one.

        From ẑ with its medians added back, cropped to ``height`` × ``width`` latent positions.
        """
        prior = self.hyper_synthesis(z_hat)
        if self.linear is not None:
            low = self.linear(z_hat[:, : self.linear.weight.shape[1]])
            prior = torch.cat((prior, F.pixel_shuffle(low, HYPER_STRIDE)), 1)
        return prior[:, :, :height, :width]

    def steps(self, prior: Tensor, tiling: Tiling = Tiling()) -> Generator[Tensor, Tensor, None]:
        """The one walk over blocks: yields μ of each, is sent ŷ of all so far, (N, C, h, w)."""
        height, width = prior.shape[2:]
        prefix: Tensor | None = None
        for block, start in enumerate(self.offsets[:-1]):
            if start in self.level_offsets:
                shared = over(tiling.shared(height, width), self.features, prior, prefix)
            mean = partial(self.mean, block)
            prefix = yield over(tiling.mean(height, width), mean, shared, prior, prefix)

    def walk(self, prior: Tensor, reply: Callable[[int, Tensor], Tensor]) -> Tensor:
        """ŷ of all blocks, (N, C, h, w): ``reply`` turns a block's number and μ into its ŷ."""
        hat = reply(0, next(steps := self.steps(prior)))
        for block in range(1, len(self.offsets) - 1):
            hat = torch.cat((hat, reply(block, steps.send(hat))), 1)
        return hat

    def features(self, prior: Tensor, prefix: Tensor | None) -> Tensor:
        """What the means of a level's blocks share, (N, width, h, w).

        Args:
            prior: of :meth:`prior`.
            prefix: ŷ of the levels before it, (N, channels so far, h, w); None for the first level.
        """
        if prefix is None:
            prefix = torch.zeros_like(prior[:, :1])
        context = self.context(prefix / self.spread[: prefix.shape[1], None, None])
        return self.parameters_in(torch.cat((prior[:, : self.width], context), 1))

    def mean(self, block: int, features: Tensor, prior: Tensor, prefix: Tensor | None) -> Tensor:
        """μ of a block, (N, blocks[block], h, w).

        Args:
            features: of :meth:`features`, for the block's level. prior: of :meth:`prior`.
            prefix: ŷ of the blocks before it, (N, offsets[block], h, w); None for block 0.
        """
        start, end = self.offsets[block], self.offsets[block + 1]
        mean = F.conv2d(
            features,
            self.parameters_out.weight[start:end, :, None, None],
            self.parameters_out.bias[start:end],
        )
        if prefix is not None:
            mean = mean + self.delta[block - 1](features, prefix / self.spread[:start, None, None])
        mean = mean * self.spread[start:end, None, None]
        return mean if block or self.linear is None else mean + prior[:, self.width :]
