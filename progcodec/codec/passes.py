"""One pass of each network over pictures of any size: in one piece, or tile by tile where they are
large.

    images ─analyse→ y ─hyper_analyse→ z    ẑ ─prior→ P    ẑ ─features→ F ─index→ σ-indexes
    pixels ←synthesise─ ŷ

Images are read, and pixels written, tile by tile: no float copy of a large picture exists at any
time.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from progcodec.arrays import Ints, Pixels
from progcodec.config import HYPER_STRIDE, LATENT_STRIDE, ModelConfig
from progcodec.errors import CheckpointError
from progcodec.geometry import Box, latent_size
from progcodec.image import as_tensor, cut_out, pad_to_multiple, size_of, to_pixels
from progcodec.network.hyperprior import MeanPath
from progcodec.network.scale import ScalePath
from progcodec.network.tiles import Tile, Tiling, over, stitched


def analyse(
    g_a: nn.Module,
    images: Sequence[object],
    tiling: Tiling,
    config: ModelConfig,
    device: torch.device,
) -> Tensor:
    """y, (N, 320, h, w) on the device, of images of one size."""
    whole = Box(0, 0, *size_of(images[0]))
    tiles = tiling.transform(config, *latent_size(*whole[2:]))

    def run(tile: Tile) -> Tensor:
        box = tile.reads.times(LATENT_STRIDE).within(whole)
        parts = images if box == whole else [cut_out(image, *box) for image in images]
        x = torch.cat([as_tensor(part) for part in parts]).to(device)
        y: Tensor = g_a(_channels_last(pad_to_multiple(x, LATENT_STRIDE)))
        return y

    return stitched(tiles, run)


def hyper_analyse(h_a: nn.Module, y: Tensor, tiling: Tiling) -> Tensor:
    """z, (N, hyper channels, ⌈h/4⌉, ⌈w/4⌉)."""
    tiles = [tile.over(HYPER_STRIDE) for tile in tiling.hyper(*y.shape[2:])]
    return stitched(tiles, lambda tile: h_a(_channels_last(tile.reads.times(HYPER_STRIDE).cut(y))))


def prior(path: MeanPath, z_hat: Tensor, height: int, width: int, tiling: Tiling) -> Tensor:
    """P, from ẑ with its medians added back, for ``height`` × ``width`` latent positions."""

    def run(tile: Tile) -> Tensor:
        z = _channels_last(tile.reads.over(HYPER_STRIDE).cut(z_hat))
        return path.prior(z, tile.reads.height, tile.reads.width)

    return stitched(tiling.hyper(height, width), run)


def features(path: ScalePath, z: Ints, height: int, width: int, tiling: Tiling) -> Tensor:
    """F, uint8 (N, scale width, h, w), from integer ẑ (N, hyper channels, ⌈h/4⌉, ⌈w/4⌉)."""

    def run(tile: Tile) -> Tensor:
        part = exact(tile.reads.over(HYPER_STRIDE).cut(z))
        return path.features(part, tile.reads.height, tile.reads.width).to(torch.uint8)

    return stitched(tiling.hyper(height, width), run)


def index(
    path: ScalePath,
    block: int,
    features: Tensor,
    earlier: Ints | None,
    qualities: Sequence[int],
    tiling: Tiling,
) -> Ints:
    """σ-indices of a block, uint8 (N, C, h, w), from F and the q of earlier blocks, if any."""

    def run(features: Tensor, earlier: Ints | None) -> Tensor:
        before = None if earlier is None else exact(earlier)
        return path.index(block, features.float(), before, qualities).to(torch.uint8)

    return over(tiling.index(*features.shape[2:]), run, features, earlier).numpy()


def synthesise(g_s: nn.Module, y: Tensor, box: Box, tiling: Tiling, config: ModelConfig) -> Pixels:
    """Pixels of a box of the picture, uint8 (N, height, width, 3), from ŷ (N, 320, h, w).

    Raises CheckpointError.
    """
    pixels = np.empty((len(y), box.height, box.width, 3), np.uint8)
    height, width = y.shape[2:]
    for tile in tiling.transform(config, height, width, box.over(LATENT_STRIDE)):
        gives, reads = tile.times(LATENT_STRIDE)
        part, x = gives.within(box), g_s(_channels_last(tile.reads.cut(y)))
        x = part.moved(-reads.top, -reads.left).cut(x)
        check_finite(x)
        place = part.moved(-box.top, -box.left)
        pixels[:, place.top : place.bottom, place.left : place.right] = to_pixels(x)
    return pixels


def check_finite(x: Tensor) -> None:
    """Raises CheckpointError where a network overflowed."""
    if not all(math.isfinite(end) for end in x.aminmax()):
        raise CheckpointError(
            "the model's numbers overflow: its weights are damaged, or were never trained"
        )


def exact(values: Ints) -> Tensor:
    """Integers as the float32 tensor, on the CPU, in which the scale path computes exactly."""
    return torch.from_numpy(np.ascontiguousarray(values)).float()


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
