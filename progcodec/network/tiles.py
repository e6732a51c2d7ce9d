"""Cutting a large picture into tiles that overlap by as much as the networks look around
themselves: no seam can show.

    tile 1   ════════════════════|░halo░|
    tile 2               |░halo░|════════════════════|░halo░| reads [low, high), gives [start, stop)
    tile 3                                   |░halo░|════════════════════

What a network gives at a position depends on inputs no further away than its *reach*. A tile that
is read with a halo at least that wide gives, between its halos, what the whole picture gives there:
exactly in the integer scale path, up to float rounding elsewhere. Zeros are padded at the picture's
true borders as ever; those at a tile's other edges are felt in its halo only. Lengths are latent
positions, 16 pixels each, if nothing else is said.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from progcodec.config import HYPER_STRIDE, LATENT_STRIDE, ModelConfig
from progcodec.geometry import Box, ceil_div, latent_size

BLOCK_REACH = 2
"""Of a 5×5 convolution, and so of a block; 1×1 convolutions look nowhere."""
SHARED_REACH = 3 * BLOCK_REACH
"""Of what a level's means share, in P and in the ŷ before it: 𝒞's block and ℋ's two blocks."""
MEAN_REACH = 2 * BLOCK_REACH
"""Of one block's μ, in what they share and in the ŷ before it: ΔM's block and its gate."""
INDEX_REACH = 1
"""Of one block's σ-indices, in F and in the q before it: a 3×3 convolution."""
HYPER_REACH = 2 * HYPER_STRIDE
"""Of z in y, of P in ẑ and of F in ẑ: none of the three looks more than 2 hyperlatent positions, of
64 pixels, around itself. z: blocks at 1/16 and 1/32 of the resolution, 2/4 + 2/2. P: a 3×3 at 1/64,
a block at 1/32, 1 + 2/2. F: 3×3 at 1/64, 1/32 and 1/16, 1 + 1/2 + 1/4."""

SIDES = {"lite": 128, "tic": 64}
"""Sides of the tiles of g_a and g_s in each family. `tic` works at up to 1/2 of the resolution,
`lite` at 1/8: hence the smaller ones."""
CONTEXT_SIDE = 256
"""Of the tiles of all other networks, which work at 1/16 of the resolution."""


class Field(NamedTuple):
    """Of tiles of g_a and g_s: a halo of ``reach`` at least, edges at multiples of ``unit``."""

    reach: int
    unit: int


def transform_field(config: ModelConfig) -> Field:
    """Of g_a in pixels and of g_s in ŷ, whichever is larger."""
    if config.family == "tic":
        return Field(
            max(_tic_analysis_reach(config), _tic_synthesis_reach(config)), config.swin_window // 2
        )
    assert config.family == "lite", config.family
    at_8 = 1 + BLOCK_REACH * config.depth  # the 3×3 and the blocks at 1/8 of the resolution
    return Field(BLOCK_REACH * config.inner_depth + math.ceil(at_8 / 2), 1)


def _tic_analysis_reach(config: ModelConfig) -> int:
    """An attention looks a window's width less one, if windows lie where they belong."""
    reach = 0
    for kernel_reach, depth in zip((1, 1, 1, 2), (*config.swin_depths[::-1], 0), strict=True):
        reach = 2 * reach + kernel_reach + depth * (config.swin_window - 1)
    return math.ceil(reach / LATENT_STRIDE)


def _tic_synthesis_reach(config: ModelConfig) -> int:
    reach = 0
    for kernel_reach, depth in zip((2, 1, 1, 1), (*config.swin_depths, 0), strict=True):
        reach = (reach + kernel_reach + 1) // 2 + depth * (config.swin_window - 1)
    return reach


class Span(NamedTuple):
    """A tile along one axis: it gives [start, stop) and reads [low, high)."""

    start: int
    stop: int
    low: int
    high: int


class Tile(NamedTuple):
    """What of a plane it gives, and what it reads for that."""

    gives: Box
    reads: Box

    def times(self, stride: int) -> "Tile":
        """The same on a grid so many times finer."""
        return Tile(self.gives.times(stride), self.reads.times(stride))

    def over(self, stride: int) -> "Tile":
        """On a grid so many times coarser; edges are multiples of ``stride``, or the picture's."""
        return Tile(self.gives.over(stride), self.reads.over(stride))

    def inner(self, x: Tensor) -> Tensor:
        """The part of what was made of ``reads`` that the tile gives."""
        return self.gives.moved(-self.reads.top, -self.reads.left).cut(x)


@dataclass(frozen=True)
class Tiling:
    """How large pictures are cut: nothing of up to twice a tile's area is, what is larger always.

    Attributes:
        side: of the tiles of g_a and g_s; None for the family's own, in SIDES.
        context_side: of the tiles of the other networks.
    """

    side: int | None = None
    context_side: int = CONTEXT_SIDE

    def transform(
        self, config: ModelConfig, height: int, width: int, box: Box | None = None
    ) -> list[Tile]:
        """Of g_a and g_s over a latent, or a box of it, where they may give a little more."""
        return _tiles(
            height, width, self.side or SIDES[config.family], *transform_field(config), box
        )

    def hyper(self, height: int, width: int) -> list[Tile]:
        """Of h_a, P and F; edges are multiples of HYPER_STRIDE: see ``over``."""
        return _tiles(height, width, self.context_side, HYPER_REACH, HYPER_STRIDE)

    def shared(self, height: int, width: int) -> list[Tile]:
        return _tiles(height, width, self.context_side, SHARED_REACH)

    def mean(self, height: int, width: int) -> list[Tile]:
        return _tiles(height, width, self.context_side, MEAN_REACH)

    def index(self, height: int, width: int) -> list[Tile]:
        return _tiles(height, width, self.context_side, INDEX_REACH)


def latent_box(config: ModelConfig, pixels: Box, width: int, height: int) -> Box:
    """The latent positions that a box of pixels of a picture depends on, if no more than these are
    at hand: through g_s, the means of each block, one after the other, and P.
    """
    reach, unit = transform_field(config)
    reach += len(config.steps) * SHARED_REACH + len(config.blocks) * MEAN_REACH + HYPER_REACH
    unit = math.lcm(unit, HYPER_STRIDE)
    needed = pixels.over(LATENT_STRIDE)
    rows, columns = latent_size(height, width)
    top, left = (max(0, (place - reach) // unit * unit) for place in needed[:2])
    bottom, right = (ceil_div(place + reach, unit) * unit for place in needed[2:])
    return Box(top, left, min(bottom, rows), min(right, columns))


def spans(first: int, last: int, length: int, side: int, reach: int, unit: int = 1) -> list[Span]:
    """[first, last) of an axis in spans of nearly equal size, at most ``side`` if ``unit`` divides
    it. Inner edges and halos lie at multiples of ``unit``, outwards, and end where the axis does.
    """
    first = first // unit * unit
    step = ceil_div(last - first, ceil_div(last - first, side))
    step = ceil_div(step, unit) * unit
    found = []
    for start in range(first, last, step):
        stop = start + step if start + step < last else min(ceil_div(last, unit) * unit, length)
        low, high = (start - reach) // unit * unit, ceil_div(stop + reach, unit) * unit
        found.append(Span(start, stop, max(0, low), min(length, high)))
    return found


def _tiles(
    height: int, width: int, side: int, reach: int, unit: int = 1, box: Box | None = None
) -> list[Tile]:
    box = box or Box(0, 0, height, width)
    if box.height * box.width <= 2 * side * side:
        side = max(box.height, box.width) + unit
    rows = spans(box.top, box.bottom, height, side, reach, unit)
    columns = spans(box.left, box.right, width, side, reach, unit)
    return [
        Tile(Box(r.start, c.start, r.stop, c.stop), Box(r.low, c.low, r.high, c.high))
        for r in rows
        for c in columns
    ]


def stitched(tiles: list[Tile], run: Callable[[Tile], Tensor]) -> Tensor:
    """What ``run`` makes of each tile, its halo included, put together: (N, C, H, W), channels last
    if float.

    Args:
        tiles: of a whole plane, on its own grid.
    """
    if len(tiles) == 1:
        return run(tiles[0])
    size = tiles[-1].gives.bottom, tiles[-1].gives.right
    whole: Tensor | None = None
    for tile in tiles:
        part = run(tile)
        if whole is None:
            form = torch.channels_last if part.is_floating_point() else torch.contiguous_format
            shape = *part.shape[:2], *size
            whole = torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=form)
        tile.gives.cut(whole).copy_(tile.inner(part))
    assert whole is not None
    return whole


def over(tiles: list[Tile], function: Callable[..., Tensor], *planes: Any) -> Tensor:
    """What ``function`` makes of planes (tensors, arrays, or None as it is), tile by tile."""

    def run(tile: Tile) -> Tensor:
        return function(*(None if plane is None else tile.reads.cut(plane) for plane in planes))

    return function(*planes) if len(tiles) == 1 else stitched(tiles, run)
