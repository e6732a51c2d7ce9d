"""Hyper analysis h_a and the float mean path: what μ is, given ẑ and the blocks that came before.

    y ─h_a─► z                ẑ ─h_s─► P ───────────────┐
                              ŷ of earlier blocks ─𝒞─► C ┴─[P;C]─ℋ─► M ─(+ ΔM, blocks 2 and 3)─► μ of block k

𝒞 and ℋ are shared by all blocks (the paper's Fig. 3); later blocks are zero in 𝒞's input. μ moves pixels only: it may differ
between machines in its last bits, and no coded bit depends on it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.config import HYPER_STRIDE, ModelConfig
from progcodec.network.depthwise import Depthwise
from progcodec.network.transform import Block, Down, Pointwise, Up


class HyperAnalysis(nn.Module):
    """h_a: y (N, C, h, w) to z (N, hyper channels, ⌈h/4⌉, ⌈w/4⌉); y is replicated to a multiple of 4 first.

    Most of what z must tell is how loud y is where, so log(1 + |y|) enters beside y. ``spread`` holds about each channel's
    standard deviation: without it the few strongest components drown the others.
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

    def forward(self, y: Tensor) -> Tensor:
        pad_h, pad_w = -y.shape[2] % HYPER_STRIDE, -y.shape[3] % HYPER_STRIDE
        y = F.pad(y, (0, pad_w, 0, pad_h), mode="replicate")
        return self.layers(torch.cat((y / self.spread[:, None, None], torch.log1p(y.abs())), 1))


class DeltaMean(nn.Module):
    """ΔM of one block: depthwise residual block with a local attention gate, on ℋ's features and the ŷ of earlier blocks.

    ``skip`` is the linear prediction from those ŷ: a channel that refines an earlier one needs it exact, and undisturbed.
    It is all that is left where ``network`` is False.
    """

    def __init__(self, features: int, prefix: int, outputs: int, network: bool = True) -> None:
        super().__init__()
        self.network = network
        if network:
            self.enter = Pointwise(features + prefix, features)
            self.block = Block(features)
            self.gate = Depthwise(features, 5)
            self.leave = Pointwise(features, outputs, gain=0)
        self.skip = Pointwise(prefix, outputs, gain=0)

    def forward(self, features: Tensor, prefix: Tensor) -> Tensor:
        if not self.network:
            return self.skip(prefix)
        x = self.block(self.enter(torch.cat((features, prefix), 1)))
        return self.leave(x * torch.sigmoid(self.gate(x))) + self.skip(prefix)


class MeanPath(nn.Module):
    """The float mean path. Call :meth:`prior` once, then :meth:`mean` for each block in order.

    ``spread`` holds about each latent channel's standard deviation: ŷ enters divided by it, μ leaves multiplied.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, channels = config.mean_width, config.latent_channels
        self.offsets = config.offsets
        self.spread = nn.Parameter(torch.ones(channels))
        self.hyper_synthesis = nn.Sequential(
            nn.Conv2d(config.hyper_channels, 4 * width, 3, padding=1),
            nn.PixelShuffle(2),
            Block(width),
            Up(width, width),
        )
        self.context = nn.Sequential(Pointwise(channels, width), Block(width))
        self.parameters_in = nn.Sequential(Pointwise(2 * width, width), Block(width), Block(width))
        self.parameters_out = Pointwise(width, channels, gain=0.1)
        self.delta = nn.ModuleList(
            DeltaMean(width, self.offsets[k], count, config.delta)
            for k, count in enumerate(config.blocks)
            if k > 0
        )

    def prior(self, z_hat: Tensor, height: int, width: int) -> Tensor:
        """P, from ẑ with its medians added back, cropped to ``height`` × ``width`` latent positions."""
        return self.hyper_synthesis(z_hat)[:, :, :height, :width]

    def mean(self, block: int, prior: Tensor, prefix: Tensor | None) -> Tensor:
        """μ of block ``block`` (0, 1, 2).

        Args:
            prior: P, (N, width, h, w).
            prefix: ŷ of the blocks before it, (N, offsets[block], h, w); None for block 0.
        """
        start, end = self.offsets[block], self.offsets[block + 1]
        spread = self.spread[:, None, None]
        masked = prior.new_zeros(prior.shape[0], self.offsets[-1], *prior.shape[2:])
        if prefix is not None:
            prefix = prefix / spread[:start]
            masked[:, :start] = prefix
        features = self.parameters_in(torch.cat((prior, self.context(masked)), 1))
        mean = F.conv2d(
            features,
            self.parameters_out.weight[start:end, :, None, None],
            self.parameters_out.bias[start:end],
        )
        if prefix is not None:
            mean = mean + self.delta[block - 1](features, prefix)
        return mean * spread[start:end]
