"""Where the maps of σ-indexes in ``network/quality.py`` come from. Floats, which decide nothing."""

import math

import numpy as np

from progcodec.arrays import Array, Floats
from progcodec.config import Q_MAX, QUALITY_MAX, SCALE_COUNT, SCALE_MAX, SCALE_MIN, TABLE_BITS
from progcodec.network.quality import shifted, step_size

SMALL = 32
"""Indexes below which the maps are looked up; far above, :func:`generate` sees the end of the
alphabet."""


def generate(step: float) -> list[int]:
    """A row of the maps for a quantisation step, by floats: for whoever wants to see where they
    come from.
    """
    fine = np.arange(-16 * 16, 16 * SCALE_COUNT) / 16
    fine_bits, bits = _gaussian_bits(fine), _gaussian_bits(np.arange(SCALE_COUNT))
    widths = SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (
        np.arange(-100, 4 * SCALE_COUNT) / 4 / (SCALE_COUNT - 1)
    )
    fitted = fine[np.argmin(_laplacian(widths, 1.0) @ fine_bits.T, axis=1)]
    fitted, first = np.unique(fitted, return_index=True)
    own = np.exp(np.interp(np.arange(SCALE_COUNT), fitted, np.log(widths[first])))
    return [
        int(index)
        for index in np.maximum.accumulate(np.argmin(_laplacian(own, step) @ bits.T, axis=1))
    ]


def _gaussian_bits(indexes: Array) -> Floats:
    """Bits of |q| = 0..127 under the Gaussians of (fractional) σ-indexes, floored as the tables
    are: (n, 128).
    """
    sigma = SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (indexes / (SCALE_COUNT - 1))
    edges = np.maximum(np.arange(Q_MAX + 1) - 0.5, 0) / (sigma[:, None] * math.sqrt(2))
    tails = np.vectorize(math.erfc)(edges) / 2
    return -np.log2(np.maximum(_bins(tails), 2.0**-TABLE_BITS))


def _laplacian(sigma: Floats, step: float) -> Floats:
    """Probabilities of |q| = 0..127, both signs together, for Laplacians of standard deviation
    ``sigma``: (n, 128).
    """
    tails = (
        np.exp(-np.maximum(np.arange(Q_MAX + 1) - 0.5, 0) * step * math.sqrt(2) / sigma[:, None])
        / 2
    )
    return _bins(tails) * np.where(np.arange(Q_MAX + 1) == 0, 1, 2)


def _bins(tails: Floats) -> Floats:
    """Probabilities of q = 0, 1, 2…, of one sign, from those of a value above q − ½ (above 0 for
    the first).
    """
    bins = tails - np.concatenate((tails[:, 1:], np.zeros((len(tails), 1))), axis=1)
    bins[:, 0] *= 2
    return bins


def generate_heads() -> dict[int, tuple[int, ...]]:
    """HEADS, made anew by floats."""
    heads: dict[int, tuple[int, ...]] = {}
    for quality in range(-QUALITY_MAX, QUALITY_MAX + 1):
        row = generate(step_size(quality))[:SMALL] if quality else []
        while row and row[-1] == shifted(len(row) - 1, quality):
            row.pop()
        heads[quality] = tuple(row)
    return heads
