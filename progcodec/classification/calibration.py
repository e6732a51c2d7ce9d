"""From logits to probabilities that can be believed: a stated 80 % is right 80 % of the time.

    p(class) = p(coarse group) · p(intermediate group | coarse) · p(class | intermediate)

Each factor has a temperature of its own, which depends on the received bits (piecewise linear in
their logarithm). One temperature for all could make one level honest, not three; and as the factors
still multiply to one distribution over the classes, groups stay the sums of their classes. numpy
only.
"""

from dataclasses import dataclass

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.errors import ClassifierError

KNOTS = (9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 19.0)
"""Where temperatures are stored, in log2 of received bits; the last is the clean picture."""
KNOT_MAX = 64.0


@dataclass(frozen=True)
class Calibration:
    """How to temper a network's logits.

    Attributes:
        groups: int64 (levels, classes): the group of each class at each level, coarsest first, as
            calibrated with. Nested.
        knots: float64 (K,), rising, in log2 of the received bits.
        log_temperature: float64 (levels + 1, K): of each factor at each knot; natural logarithms.
    """

    groups: Ints
    knots: Floats
    log_temperature: Floats

    def __post_init__(self) -> None:
        """Raises ClassifierError unless shapes fit, numbers are finite, groups nest."""
        factors = len(self.groups) + 1
        sound = (
            self.groups.ndim == 2 and self.groups.size > 0 and self.groups.min() >= 0
            and self.knots.ndim == 1 and len(self.knots) > 0
            and bool((np.diff(self.knots) > 0).all())
            and 0 <= self.knots[0] and self.knots[-1] <= KNOT_MAX
            and self.log_temperature.shape == (factors, len(self.knots))
            and all(np.isfinite(a).all() for a in (self.knots, self.log_temperature))
        )  # fmt: skip
        if not sound:
            raise ClassifierError("the calibration's tables do not fit together")
        for upper, lower in zip(self.groups, self.groups[1:], strict=False):
            if len(np.unique(np.stack((lower, upper)), axis=1).T) != len(np.unique(lower)):
                raise ClassifierError("the calibration's groups do not nest")

    @classmethod
    def neutral(cls, groups: Ints) -> "Calibration":
        """One that changes nothing: probabilities are the softmax of the logits."""
        zeros = np.zeros((len(groups) + 1, len(KNOTS)))
        return cls(np.asarray(groups, np.int64), np.array(KNOTS), zeros)

    def temperature(self, bits: Floats) -> Floats:
        """(N, levels + 1) temperatures of prefixes of so many bits; of the clean picture: inf."""
        temperatures: Floats = np.exp(at_knots(bits, self.knots) @ self.log_temperature.T)
        return temperatures

    def probabilities(self, logits: Floats, bits: Floats) -> Floats:
        """(N, classes) float64, rows sum to 1.

        Raises ClassifierError on logits that are no numbers.

        Args:
            logits: (N, classes).
            bits: received bits of each, as for :meth:`temperature`.
        """
        rows = np.asarray(logits, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.groups.shape[1]:
            raise ClassifierError(f"{rows.shape} logits do not fit {self.groups.shape[1]} classes")
        if not np.isfinite(rows).all():
            raise ClassifierError("the classifier gives values that are no numbers")
        temperatures = self.temperature(bits)
        log_p = np.zeros_like(rows)
        for k, (factor, parents) in enumerate(factors(rows, self.groups)):
            tempered = factor / temperatures[:, k : k + 1]
            tempered -= _group_logsumexp(tempered, parents)[:, parents]
            log_p += tempered if k == len(self.groups) else tempered[:, self._place(k)]
        p: Floats = np.exp(log_p)
        p /= p.sum(axis=1, keepdims=True)
        return p

    def _place(self, level: int) -> Ints:
        place: Ints = np.unique(self.groups[level], return_inverse=True)[1]
        return place


def factors(logits: Floats, groups: Ints) -> list[tuple[Floats, Ints]]:
    """The log probability of each factor, and what it is conditional on.

    Returns:
        For each level, and then the classes: float64 (N, groups of this level), log p(group | its
            parent), and int64
        (groups of this level,): the place of each parent in the level above; all 0 for the first
        level.
    """
    # Groups are numbered anew, by rank, so that a level may leave numbers out.
    ranks = [np.unique(level, return_inverse=True)[1] for level in groups]
    levels = [_group_logsumexp(logits, rank) for rank in ranks] + [np.asarray(logits, np.float64)]
    total = _group_logsumexp(levels[0], np.zeros(levels[0].shape[1], np.int64))
    made: list[tuple[Floats, Ints]] = [(levels[0] - total, np.zeros(levels[0].shape[1], np.int64))]
    for k in range(1, len(levels)):
        if k < len(ranks):
            parent = np.zeros(levels[k].shape[1], np.int64)
            parent[ranks[k]] = ranks[k - 1]
        else:
            parent = ranks[-1]
        made.append((levels[k] - levels[k - 1][:, parent], parent))
    return made


def at_knots(bits: Floats, knots: Floats) -> Floats:
    """(N, K) weights of linear interpolation between knots in log2 of bits, clamped."""
    x = np.log2(np.clip(np.asarray(bits, np.float64), 2 ** knots[0], 2 ** knots[-1]))
    return np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], axis=1)


def _group_logsumexp(values: Floats, groups: Ints) -> Floats:
    """(N, C) to (N, groups): logsumexp over each group's columns."""
    count = int(groups.max()) + 1
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(count))
    top = np.maximum.reduceat(values[:, order], starts, axis=1)
    sums: Floats = (
        np.log(np.add.reduceat(np.exp(values - top[:, groups])[:, order], starts, axis=1)) + top
    )
    return sums
