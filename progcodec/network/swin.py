"""Swin blocks: attention within windows that every other block shifts by half a window (Liu et al.,
arXiv 2103.14030).

    x ─┬─ norm ─ window attention ─(+)─┬─ norm ─ expand ─ GELU ─ project ─(+)─►
       └───────────────────────────────┘└──────────────────────────────────┘

Windows lie on a grid that starts at the picture's top left corner, the shifted ones half a window
before it. Positions of a window that the picture does not fill, at any of its four edges, are
masked: nothing attends to them. (Swin reaches the same by rolling the picture around; without that,
one mask of positions does for every size.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.geometry import ceil_div
from progcodec.network.weights_file import orthogonal

WINDOWS_AT_ONCE = 4096
"""Windows whose attention is computed together: what bounds the memory that large pictures need."""


class SpreadNorm(nn.LayerNorm):
    """LayerNorm of x / spread, each channel's usual size: a few would drown the others."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.spread = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x / self.spread)


class WindowAttention(nn.Module):
    """Multi-head attention among the positions of each window, with a learned bias for every
    relative position.

    Args:
        window: positions a side. shift: how far the grid of windows is moved to the bottom right;
            below ``window``.
    """

    offset: Tensor

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.before = -shift % window
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.position = nn.Parameter(torch.zeros(heads, 2 * window - 1, 2 * window - 1))
        for weight in self.qkv.weight.data.chunk(3):
            orthogonal(weight)
        _start_silent(self.qkv.bias, self.project.weight, self.project.bias)
        # no file has it: here also in a module without storage
        places = torch.arange(window, device="cpu")
        self.register_buffer(
            "offset", places[:, None] - places[None, :] + window - 1, persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same shape; any H and W."""
        n, height, width, channels = x.shape
        rows, columns = (ceil_div(self.before + side, self.window) for side in (height, width))
        edges = [
            (self.before, count * self.window - self.before - side)
            for count, side in ((rows, height), (columns, width))
        ]
        padding = (0, 0, *edges[1], *edges[0])
        parts = self._windows(F.pad(self.qkv(x), padding), rows, columns)
        q, k, v = parts.unflatten(2, (3, self.heads, channels // self.heads)).permute(2, 0, 3, 1, 4)
        bias, mask = self._bias(), None
        if any(map(any, edges)):
            there = F.pad(x.new_zeros(1, height, width, 1), padding, value=-torch.inf)
            # a row for each window
            mask = self._windows(there, rows, columns).mT[:, None].repeat(n, 1, 1, 1)
        attended = []
        for first in range(0, len(q), WINDOWS_AT_ONCE):
            some = slice(first, first + WINDOWS_AT_ONCE)
            added = bias[None] if mask is None else bias + mask[some]
            attended.append(F.scaled_dot_product_attention(q[some], k[some], v[some], added))
        y = torch.cat(attended).transpose(1, 2)
        y = y.reshape(n, rows, columns, self.window, self.window, channels).transpose(2, 3)
        y = y.reshape(n, rows * self.window, columns * self.window, channels)
        y = y[:, self.before : self.before + height, self.before : self.before + width]
        return self.project(y)

    def _windows(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """(N, rows·window, columns·window, C) to (N·rows·columns, window², C)."""
        n, _, _, channels = x.shape
        x = x.reshape(n, rows, self.window, columns, self.window, channels).transpose(2, 3)
        return x.reshape(-1, self.window**2, channels)

    def _bias(self) -> Tensor:
        """(heads, window², window²): what each position adds to its attention to each other one."""
        by_row = self.position[:, self.offset]  # heads, from row, to row, relative column
        both = by_row[:, :, :, self.offset]  # heads, from row, to row, from column, to column
        return both.transpose(2, 3).reshape(self.heads, self.window**2, self.window**2)


class SwinBlock(nn.Module):
    """Window attention, then two layers at each position, residual: (N, H, W, C) to the same."""

    def __init__(
        self, channels: int, heads: int, window: int, shift: int, expansion: int = 4
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = SpreadNorm(channels), SpreadNorm(channels)
        self.attention = WindowAttention(channels, heads, window, shift)
        self.expand = nn.Linear(channels, expansion * channels)
        self.project = nn.Linear(expansion * channels, channels)
        orthogonal(self.expand.weight, 1.5)
        # starts as the identity
        _start_silent(self.expand.bias, self.project.weight, self.project.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.project(F.gelu(self.expand(self.norm2(x))))


class SwinStage(nn.Module):
    """Swin blocks, every other one shifted, and a path around all; starts as twice the identity."""

    def __init__(self, channels: int, depth: int, heads: int, window: int) -> None:
        super().__init__()
        shifts = [window // 2 if number % 2 else 0 for number in range(depth)]
        self.blocks = nn.Sequential(
            *(SwinBlock(channels, heads, window, shift) for shift in shifts)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.blocks(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _start_silent(*parameters: Tensor) -> None:
    for parameter in parameters:
        nn.init.zeros_(parameter)
