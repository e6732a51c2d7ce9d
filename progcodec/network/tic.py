"""Analysis g_a and synthesis g_s of the `tic` family: Transformer-based Image Compression (Lu et
al., arXiv 2111.06707).

    image ─ 5×5 ↓2 ─ Swin (1/2) ─ 3×3 ↓2 ─ Swin (1/4) ─ 3×3 ↓2 ─ Swin (1/8) ─ 3×3 ↓2 ─► y      (g_a)
    ŷ ─ 3×3 ↑2 ─ Swin (1/8) ─ 3×3 ↑2 ─ Swin (1/4) ─ 3×3 ↑2 ─ Swin (1/2) ─ 5×5 ↑2 ─► image  (g_s)

Of the paper's network these are the two main transforms, with 1, 2 and 3 Swin blocks of 4, 8 and 16
heads and windows of 8×8; hyperprior and context are this package's own. Left out is stochastic
depth; added is ``spread`` (`swin.py`), with which the network can start from principal components.

Receptive fields are finite, but not the same everywhere: windows lie on a grid, of 64 pixels at 1/8
resolution, that starts at the picture's top left corner. With the default blocks, y depends on
pixels at most 194 away from its own 16×16, and a pixel on ŷ at most 13 positions away from its own.
A part of a picture gives, further than that from its cut edges, what the whole picture gives there,
but only if it is cut at multiples of 64 pixels: elsewhere it meets other windows.
"""

from itertools import pairwise

from torch import Tensor, nn

from progcodec.config import ModelConfig
from progcodec.network.swin import SwinStage
from progcodec.network.transform import PIXEL_GAIN


class TicAnalysis(nn.Module):
    """g_a: (N, 3, H, W) in [0, 1], sides multiples of 16, to y (N, C, H/16, W/16)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        widths = pairwise((3, width, width, width, config.latent_channels))
        self.convolutions = nn.ModuleList(
            _down(*ends, kernel) for ends, kernel in zip(widths, (5, 3, 3, 3), strict=True)
        )
        self.stages = nn.ModuleList(
            SwinStage(width, depth, heads, config.swin_window)
            for depth, heads in zip(config.swin_depths, config.swin_heads, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = PIXEL_GAIN * (x - 0.5)
        for convolution, stage in zip(self.convolutions, self.stages, strict=False):
            x = stage(convolution(x))
        return self.convolutions[-1](x)


class TicSynthesis(nn.Module):
    """g_s: ŷ (N, C, h, w) to an image (N, 3, 16h, 16w), nominally in [0, 1], not clamped."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        widths = pairwise((config.latent_channels, width, width, width, 3))
        self.convolutions = nn.ModuleList(
            _up(*ends, kernel) for ends, kernel in zip(widths, (3, 3, 3, 5), strict=True)
        )
        self.stages = nn.ModuleList(
            SwinStage(width, depth, heads, config.swin_window)
            for depth, heads in zip(config.swin_depths[::-1], config.swin_heads[::-1], strict=True)
        )

    def forward(self, y: Tensor) -> Tensor:
        for convolution, stage in zip(self.convolutions, self.stages, strict=False):
            y = stage(convolution(y))
        return self.convolutions[-1](y) / PIXEL_GAIN + 0.5


def _down(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Halves the resolution; taps from kernel // 2 on see the 2×2 inputs of an output."""
    return nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2)


def _up(inputs: int, outputs: int, kernel: int) -> nn.ConvTranspose2d:
    """Doubles the resolution, as the transpose of :func:`_down`."""
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1
    )
