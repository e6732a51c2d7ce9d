"""Bootstrap over pictures: the same resampled sets for everything that is compared."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Floats

RESAMPLES = 1000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean, and the range that holds it with 95 % confidence."""

    value: float
    low: float
    high: float


class Draws(NamedTuple):
    """Resampled sets of pictures, as how often each picture stands in each set, over the set's size.

    Attributes:
        labelled: (pictures,) bool.
        of_all: (resamples, pictures). of_labelled: (resamples, labelled pictures).
    """

    labelled: Floats
    of_all: Floats
    of_labelled: Floats

    @classmethod
    def of(cls, labelled: Sequence[bool], seed: int) -> "Draws":
        known = np.array(labelled, bool)
        return cls(known, _shares(len(known), seed), _shares(int(known.sum()), seed))

    @staticmethod
    def interval(values: Floats, shares: Floats) -> Interval:
        """Of the mean of one value for each picture."""
        return Interval(float(values.mean()), *bounds(shares @ values))


def bounds(resampled: Floats) -> tuple[float, float]:
    """The percentiles that leave (1 − confidence) / 2 on either side. Infinities are values like others."""
    # not interpolated: between a number and infinity there is nothing
    low, high = np.quantile(
        resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="nearest"
    )
    return float(low), float(high)


def _shares(count: int, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    return (
        generator.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count
        if count
        else np.zeros((RESAMPLES, 0))
    )
