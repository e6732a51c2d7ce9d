"""Detail that the transform cannot carry: found block by block, and taken from the picture.

What a model was never trained for can drive its numbers so far that what decodes is no likeness at
all, at many times the bytes. Of a picture that codes suspiciously, the encoder therefore looks at
what would decode. Where a block of 16 × 16 pixels comes out worse than its mean colour, it halves
the block's detail and codes the picture anew.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from progcodec.arrays import Array, Flags, Floats, Pixels
from progcodec.config import LATENT_STRIDE
from progcodec.geometry import latent_size
from progcodec.image import as_tensor, cut_out, size_of, to_pixels

WORSE = 65.0
"""Squared error a value (30 dB) that a block may have beyond its mean colour's."""
LEAST = 0.25
"""Of its detail that a block keeps; none, if that is still too much."""


def _rows(image: object) -> Iterator[Pixels]:
    """A picture's blocks, row by row: uint8 (16 or fewer, W, 3)."""
    height, width = size_of(image)
    for top in range(0, height, LATENT_STRIDE):
        bottom = min(top + LATENT_STRIDE, height)
        yield to_pixels(as_tensor(cut_out(image, top, 0, bottom, width)))[0]


def _sums(values: Array) -> Floats:
    """Of each block of a row of them, (rows, W, 3): its sum, (w, 3)."""
    starts = np.arange(0, values.shape[1], LATENT_STRIDE)
    found: Floats = np.add.reduceat(values.sum(axis=0, dtype=np.float64), starts)
    return found


class Blocks:
    """A picture, block by block.

    Attributes:
        sizes: values of each block, float64 (h, w).
        means: its mean colour, float64 (h, w, 3).
        spread: squared error of the mean colour, summed over the block, float64 (h, w).
    """

    def __init__(self, image: object) -> None:
        self._image = image
        sums, squares, sizes = [], [], []
        for row in _rows(image):
            values = row.astype(np.float32)
            sums.append(_sums(values))
            squares.append(_sums(values**2).sum(axis=-1))
            sizes.append(_sums(np.ones_like(values)).sum(axis=-1))
        self.sizes: Floats = np.stack(sizes)
        self.means: Floats = np.stack(sums) * (3 / self.sizes[:, :, None])
        spread = np.stack(squares) - (self.means**2).sum(axis=-1) * self.sizes / 3
        self.spread: Floats = np.maximum(spread, 0)

    def errors(self, picture: Pixels) -> Floats:
        """Squared error of uint8 (H, W, 3), summed over each block, float64 (h, w)."""
        found = []
        for n, row in enumerate(_rows(self._image)):
            other = picture[n * LATENT_STRIDE :][: len(row)]
            found.append(_sums((row.astype(np.float32) - other) ** 2).sum(axis=-1))
        return np.stack(found)

    def lost(self, errors: Floats) -> Flags:
        """Which blocks with any detail come out worse than their mean colour, bool (h, w)."""
        found: Flags = (errors > self.spread + WORSE * self.sizes) & (self.spread > 0)
        return found

    def with_detail(self, kept: Floats) -> Pixels:
        """The picture, uint8 (H, W, 3), with so much of its detail, 0 to 1 (h, w): of what it has
        beyond its own 1/16-scale version.
        """
        height, width = size_of(self._image)
        h, w = latent_size(height, width)
        small = Image.fromarray(self.means.round().astype(np.uint8))
        made = np.array(
            small.resize((w * LATENT_STRIDE, h * LATENT_STRIDE), Image.Resampling.BICUBIC)
        )
        made = made[:height, :width]
        for n, row in enumerate(_rows(self._image)):
            smooth = made[n * LATENT_STRIDE :][: len(row)]
            share = kept[n].repeat(LATENT_STRIDE)[:width, None].astype(np.float32)
            smooth[:] = np.rint(smooth + share * (row.astype(np.float32) - smooth))
        return made


def less(kept: Floats, lost: Flags) -> Floats:
    """What blocks keep of their detail after one more halving of those that came out wrong."""
    halved = np.where(kept > LEAST, kept / 2, 0)
    return np.where(lost, halved, kept)
