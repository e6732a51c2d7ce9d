"""Frequency tables and the order of hyperlatent channels, made once, for a checkpoint.

Floats decide here, which could differ in the last bit between machines. That would be another
checkpoint, never another reading of the same one: the integers that it stores are the definition.
"""

import math

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.bitstream.tables import TOTAL
from progcodec.config import ALPHABET, Q_MAX, SCALE_COUNT, SCALE_MAX, SCALE_MIN

LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_COUNT - 1)
"""σ of a σ-index is SCALE_MIN · exp(LOG_STEP · index)."""


def gaussian_frequencies() -> Ints:
    """Tables of the zero-mean Gaussians of every σ-index.

    Returns:
        uint32 (64, 255). Row i integrates σ_i over [q - 1/2, q + 1/2] for q in -127..127, with the
        tails folded into the two end bins. Each count is at least 1, each row sums to 2**24 and is
        symmetric.
    """
    pmf = np.empty((SCALE_COUNT, ALPHABET))
    for index in range(SCALE_COUNT):
        sigma = SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (index / (SCALE_COUNT - 1))
        # upper[q] = P(value > q - 1/2): differences of small tails keep their digits, those of a
        # CDF near 1 would not
        upper = [
            0.5 * math.erfc((q - 0.5) / (sigma * math.sqrt(2.0))) for q in range(Q_MAX + 1)
        ] + [0.0]
        half = [upper[q] - upper[q + 1] for q in range(Q_MAX + 1)]
        pmf[index] = half[:0:-1] + half
    # the centre takes what rounding leaves: rows stay symmetric
    return _to_counts(pmf, np.full(SCALE_COUNT, Q_MAX))


def quantise_pmf(pmf: Floats) -> Ints:
    """Round probabilities to counts.

    Args:
        pmf: (T, 255), finite and not negative, each row with a positive sum; rows are normalised
            first.

    Returns:
        uint32 (T, 255): each count at least 1, each row sums to 2**24. The likeliest symbol of a
        row takes what rounding leaves, where it weighs least.
    """
    pmf = np.asarray(pmf, dtype=np.float64)
    if pmf.ndim != 2 or pmf.shape[1] != ALPHABET:
        raise ValueError(f"probabilities must have shape (T, {ALPHABET}), not {pmf.shape}")
    if not np.isfinite(pmf).all() or (pmf < 0).any() or (pmf.sum(axis=1) <= 0).any():
        raise ValueError("probabilities must be finite, not negative, and not all zero")
    pmf = pmf / pmf.sum(axis=1, keepdims=True)
    return _to_counts(pmf, pmf.argmax(axis=1))


def channel_order(frequencies: Ints, first: int = 0) -> Ints:
    """Hyperlatent channels by falling entropy of their tables; ties by channel.

    Args:
        frequencies: integers (C, 255), one table per channel.
        first: so many channels, the first ones, come before all others.

    Returns:
        int64 (C,), a permutation of the channels.
    """
    p = np.asarray(frequencies, dtype=np.float64)
    p = p / p.sum(axis=1, keepdims=True)
    entropy = -(p * np.log2(p)).sum(axis=1)
    last = np.arange(len(p)) >= first
    order: Ints = np.lexsort((-entropy, last)).astype(np.int64, copy=False)
    return order


def _to_counts(pmf: Floats, sink: Ints) -> Ints:
    """Round to counts of at least 1; column ``sink[t]`` of row t takes the difference to 2**24."""
    counts: Ints = np.maximum(np.rint(pmf * TOTAL).astype(np.int64), 1)
    counts[np.arange(len(counts)), sink] += TOTAL - counts.sum(axis=1)
    return counts.astype(np.uint32)
