"""Integer frequency tables, and what the range coder makes of them.

The integers that a checkpoint stores are the definition of a table; the generators below are only
run when a checkpoint is made. Their floats could differ in the last bit between machines, which
would be another checkpoint, never another reading of the same one.
"""

import math
from functools import cached_property
from typing import TypeAlias

import constriction
import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.config import ALPHABET, Q_MAX, SCALE_COUNT, SCALE_MAX, SCALE_MIN, TABLE_BITS
from progcodec.errors import CheckpointError

Categorical: TypeAlias = constriction.stream.model.Categorical
TOTAL = 1 << TABLE_BITS


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


def _to_counts(pmf: Floats, sink: Ints) -> Ints:
    """Round to counts of at least 1; column ``sink[t]`` of row t takes the difference to 2**24."""
    counts: Ints = np.maximum(np.rint(pmf * TOTAL).astype(np.int64), 1)
    counts[np.arange(len(counts)), sink] += TOTAL - counts.sum(axis=1)
    return counts.astype(np.uint32)


class Tables:
    """Checked frequency tables with the coder's models of them, built at first use.

    Attributes:
        frequencies: uint32 (T, 255), read-only; column s counts the symbol s - 127.
    """

    def __init__(self, frequencies: Ints) -> None:
        """Raises CheckpointError unless integers (T, 255), each at least 1, rows of sum 2**24."""
        frequencies = np.asarray(frequencies)
        if frequencies.ndim != 2 or frequencies.shape[1] != ALPHABET or len(frequencies) == 0:
            raise CheckpointError(
                f"frequency tables must have shape (T, {ALPHABET}), not {frequencies.shape}"
            )
        if frequencies.dtype.kind not in "iu":
            raise CheckpointError(f"frequency tables must be integers, not {frequencies.dtype}")
        if (frequencies < 1).any() or (frequencies > TOTAL).any():
            raise CheckpointError(f"every frequency must lie in 1..{TOTAL}")
        if (frequencies.sum(axis=1, dtype=np.int64) != TOTAL).any():
            raise CheckpointError(f"every frequency table must sum to {TOTAL}")
        self.frequencies = frequencies.astype(np.uint32)
        self.frequencies.setflags(write=False)
        self._models: list[Categorical | None] = [None] * len(frequencies)

    def __getstate__(self) -> dict[str, object]:
        """Without the coder's models, which cannot be pickled."""
        return {**self.__dict__, "_models": [None] * len(self)}

    def __len__(self) -> int:
        return len(self.frequencies)

    def model(self, index: int) -> Categorical:
        """The coder's model of one table. Its symbols are 0..254, that is q + 127."""
        model = self._models[index]
        if model is None:
            # float64 and perfect=False are part of the format: float32, or the other rounding,
            # gives other words.
            model = Categorical(self.frequencies[index].astype(np.float64) / TOTAL, perfect=False)
            self._models[index] = model
        return model

    @cached_property
    def bits(self) -> Floats:
        """float64 (T, 255): the cost of each symbol in bits, by its count.

        The model grants every symbol one count of its own before it shares out the rest, so that
        symbols at the floor cost up to one bit less than said here, and all others a vanishing
        amount more.
        """
        information: Floats = np.log2(self.frequencies)
        return TABLE_BITS - information
