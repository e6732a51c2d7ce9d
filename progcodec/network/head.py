"""The classification head: ŷ of whatever prefix arrived, and how many bits that was, to class logits. No pixel is decoded.

    ŷ / spread ─ asinh, |asinh| ─ 1×1 ─ × (1 + a) + b ─ blocks (1/16) ─ down ─ blocks (1/32) ─ mean and maximum ─ linear ─► logits
    bits per position ─ hat functions of log2(1 + b) ─ linear ─┴─ a, b

ŷ has heavy tails and its channels differ in spread a hundredfold: each is divided by its spread, and asinh makes a logarithm of
what is large. Where few bits have arrived ŷ is mostly prediction, so the head is told how many there are.
"""

from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progcodec.network.depthwise import Depthwise

BIT_STEPS = 16
"""Hat functions of log2(1 + b), one at each whole number from 0."""
SIZE_MAX = 4096


@dataclass(frozen=True)
class HeadConfig:
    """Shape of a head. Stored in its file.

    Attributes:
        latent_channels: channels of ŷ.
        classes: outputs.
        width, depth: channels and blocks at the latent's resolution. inner_width, inner_depth: at half of it.
        dropout: share of the pooled features that is dropped in training.
    """

    latent_channels: int = 320
    classes: int = 1000
    width: int = 224
    depth: int = 1
    inner_width: int = 288
    inner_depth: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (type(value) is not int or not 1 <= value <= SIZE_MAX):
                raise ValueError(f"{field.name} must be an integer in 1..{SIZE_MAX}, not {value!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout!r}")

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> "HeadConfig":
        """Inverse of :meth:`to_dict`. Raises ValueError, TypeError."""
        return cls(**data)  # type: ignore[arg-type]


class HeadBlock(nn.Module):
    """Residual block: depthwise convolution, layer norm, a gated pair of linear maps. (N, H, W, C) to the same shape."""

    def __init__(self, channels: int, kernel: int = 5, expansion: int = 2) -> None:
        super().__init__()
        self.spatial = Depthwise(channels, kernel)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 2 * expansion * channels)
        self.project = nn.Linear(expansion * channels, channels)
        nn.init.orthogonal_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)
        nn.init.zeros_(self.project.weight)  # starts as the identity
        nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        gate, value = self.expand(self.norm(y)).chunk(2, -1)
        return x + self.project(F.gelu(gate) * value)


class LatentHead(nn.Module):
    """See the top of this file. ``spread``, a buffer, holds about each latent channel's standard deviation."""

    spread: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        width, inner = config.width, config.inner_width
        self.register_buffer("spread", torch.ones(config.latent_channels))
        self.enter = nn.Linear(2 * config.latent_channels, width)
        self.bits = nn.Linear(BIT_STEPS, 2 * width, bias=False)
        self.blocks = nn.ModuleList(HeadBlock(width, expansion=1) for _ in range(config.depth))
        self.down_norm = nn.LayerNorm(4 * width)
        self.down = nn.Linear(4 * width, inner)
        self.inner = nn.ModuleList(HeadBlock(inner) for _ in range(config.inner_depth))
        self.norm = nn.LayerNorm(2 * inner)
        self.dropout = nn.Dropout(config.dropout)
        self.leave = nn.Linear(2 * inner, config.classes)
        nn.init.orthogonal_(self.enter.weight)
        nn.init.orthogonal_(self.down.weight)
        nn.init.zeros_(self.bits.weight)
        if (
            not self.leave.weight.is_meta
        ):  # for numbers without storage torch would load its compiler, which takes 1.6 s
            nn.init.normal_(self.leave.weight, std=0.01)
        nn.init.zeros_(self.leave.bias)

    def forward(self, y: Tensor, bits: Tensor) -> Tensor:
        """Logits (N, classes).

        Args:
            y: ŷ, float (N, latent channels, h, w) of any h, w >= 1.
            bits: received bits per latent position, (N,), >= 0.
        """
        x = torch.asinh(y.permute(0, 2, 3, 1) / self.spread)
        x = self.enter(torch.cat((x, x.abs()), -1))
        scale, shift = self.bits(_hats(bits))[:, None, None].chunk(2, -1)
        x = x * (1 + scale) + shift
        for block in self.blocks:
            x = block(x)
        x = self.down(self.down_norm(_halve(x)))
        for block in self.inner:
            x = block(x)
        pooled = torch.cat((x.mean((1, 2)), x.amax((1, 2))), -1)
        return self.leave(self.dropout(self.norm(pooled)))


def _hats(bits: Tensor) -> Tensor:
    """(N,) to (N, BIT_STEPS): log2(1 + b) as weights of the two whole numbers next to it."""
    x = torch.log2(1 + bits.float()).clamp(0, BIT_STEPS - 1)
    return (1 - (x[:, None] - torch.arange(BIT_STEPS, device=x.device)).abs()).clamp_min(0)


def _halve(x: Tensor) -> Tensor:
    """(N, H, W, C) to (N, ⌈H/2⌉, ⌈W/2⌉, 4C); an odd last row or column is repeated."""
    if x.shape[1] % 2:
        x = torch.cat((x, x[:, -1:]), 1)
    if x.shape[2] % 2:
        x = torch.cat((x, x[:, :, -1:]), 2)
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(n, height // 2, width // 2, 4 * channels)
