"""Analysis g_a and synthesis g_s of the `lite` family, and the blocks that every float network here
is built from.

    image ─unshuffle 8─ 3×3 ─ blocks (1/8) ─ down ─ blocks (1/16) ─ 1×1 ─► y          (g_a)
    ŷ ─ 1×1 ─ blocks (1/16) ─ up ─ blocks (1/8) ─ 3×3 ─shuffle 8─► image              (g_s)

Everything works on 1/8 of the resolution or less: on a CPU the layers near the pixels are what
makes a codec slow. The 3×3 convolution next to the unshuffled pixels makes a lapped transform of
24×24 windows, without which 8×8 blocks would show. All receptive fields are finite (no global
pooling), so that large pictures can be cut into tiles.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.config import ModelConfig
from progcodec.network.depthwise import Depthwise
from progcodec.network.weights_file import orthogonal

PIXEL_GAIN = 16.0
"""Pixels enter as 16·(x − ½): about the gain at which a quantisation step of 1 gives useful
quality, so training starts near it."""
STRIP = 512
"""Positions that a block expands at once on a CPU: few enough that they stay in its cache."""


class Pointwise(nn.Module):
    """1×1 convolution whose weight is a matrix (out, in), as matrix optimisers expect.

    Last channels that the input lacks count as zeros.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if gain:
            orthogonal(self.weight, gain)
        else:
            nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight[:, : x.shape[1]]
        if torch.is_grad_enabled():  # a fifth faster in bfloat16 on CPUs
            return F.conv2d(x, weight[:, :, None, None], self.bias)
        # The same, 5 % of all decoding faster: no layout is changed on the way.
        return F.linear(x.permute(0, 2, 3, 1), weight, self.bias).permute(0, 3, 1, 2)


def gated(x: Tensor) -> Tensor:
    """``F.glu(x, 1)``, whose gradient is 5 times slower on CPUs."""
    if not torch.is_grad_enabled():
        return F.glu(x, 1)
    value, gate = x.chunk(2, 1)
    return value * torch.sigmoid(gate)


class Block(nn.Module):
    """Residual block, (N, C, H, W): 5×5 depthwise convolution, then a gated 1×1 pair."""

    def __init__(self, channels: int, expansion: int = 2, kernel: int = 5) -> None:
        super().__init__()
        self.spatial = Depthwise(channels, kernel)
        self.expand = Pointwise(channels, 2 * expansion * channels, gain=1.5)
        self.project = Pointwise(expansion * channels, channels, gain=0)  # starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(x)
        if torch.is_grad_enabled():
            return x + self.project(gated(self.expand(y)))
        rows = max(1, STRIP // y.shape[3]) if y.device.type == "cpu" else y.shape[2]
        for strip in y.split(rows, 2):
            strip.copy_(self.project(gated(self.expand(strip))))
        return y.add_(x)


class Down(nn.Sequential):
    """Halves the resolution: 2×2 unshuffle and a 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__(nn.PixelUnshuffle(2), Pointwise(4 * inputs, outputs, gain))


class Up(nn.Sequential):
    """Doubles the resolution: a 1×1 convolution and 2×2 shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(Pointwise(inputs, 4 * outputs), nn.PixelShuffle(2))


class Analysis(nn.Module):
    """g_a: (N, 3, H, W) in [0, 1], sides multiples of 16, to y (N, C, H/16, W/16)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(8),
            nn.Conv2d(192, config.width, 3, padding=1),
            *(Block(config.width) for _ in range(config.depth)),
            Down(config.width, config.inner_width),
            *(Block(config.inner_width) for _ in range(config.inner_depth)),
            Pointwise(config.inner_width, config.latent_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(PIXEL_GAIN * (x - 0.5))


class Synthesis(nn.Module):
    """g_s: ŷ (N, C, h, w) to an image (N, 3, 16h, 16w), nominally in [0, 1], not clamped."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Pointwise(config.latent_channels, config.inner_width),
            *(Block(config.inner_width) for _ in range(config.inner_depth)),
            Up(config.inner_width, config.width),
            *(Block(config.width) for _ in range(config.depth)),
            nn.Conv2d(config.width, 192, 3, padding=1),
            nn.PixelShuffle(8),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.layers(y) / PIXEL_GAIN + 0.5
