"""Trit-planes, as in DPICT: every q is coded in ternary digits, all elements' most significant digits first.

After Lee et al., "DPICT: Deep Progressive Image Compression Using Trit-Planes" (2022). With t in {-1, 0, 1},

    q = t₅·3⁵ + t₄·3⁴ + … + t₀          plane 5 first; |q| ≤ 127 < 364

What is known of an element before plane l is a *node*: the multiple of 3^(l+1) that its digits so far make, and the interval
of values around it. A digit's probabilities are the shares of the three thirds in the interval, from the integer table of the
element's σ-index. A plane goes by falling priority: expected distortion saved per expected bit, which depends on (σ-index,
node), times the channel's squared gain. What has not arrived stands for the expectation of its node's interval.

What is decodable: σ must be known before the first plane, and no block is whole before the last: σ comes from ẑ alone
(``calibration.py``), as for DPICT, which has only the hyperprior; μ is as in ``plonq.py``. DPICT's post-processing networks
and CTC's context modules (Jeon et al., 2023) are trained parts, and lack here.
"""

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.bitstream.tables import TOTAL, Tables
from progcodec.config import ALPHABET, Q_MAX, SCALE_COUNT, SCALE_MAX, SCALE_MIN
from progcodec.lab.evaluate.rivals.calibration import blind_indexes, gain_shifts
from progcodec.lab.evaluate.rivals.latent import Scales
from progcodec.lab.evaluate.rivals.scheme import Pass, Scheme, Walk, nothing, runs_of

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec

PLANES = 6
FACTOR = 1.25
"""Of two priorities in this ratio one goes first; finer steps would make more runs, and no better order."""


class Plane(NamedTuple):
    """One plane of a checkpoint: T = σ-indices × nodes contexts, numbered σ-index by σ-index.

    Attributes:
        span: values of a node's interval, 3^(l+1).
        reach: nodes are -reach..reach, in units of span.
        tables: probabilities of the digits -1, 0, 1 (all other symbols at the floor) in each context.
        priority: int64 (T,), distortion saved per bit, logarithm in steps of a factor ``FACTOR``.
        mean: float32 (T,), expectation of q in each context.
    """

    span: int
    reach: int
    tables: Tables
    priority: Ints
    mean: Floats

    def context(self, indexes: Ints, known: Ints) -> Ints:
        """int64, the contexts of elements with these σ-indices, of which the digits so far make ``known``."""
        return indexes.astype(np.int64) * (2 * self.reach + 1) + known // self.span + self.reach


class TritPlanes(Scheme):
    name = "tritplanes"

    def walk(self, scales: Scales) -> Walk:
        indexes = blind_indexes(scales).reshape(-1)
        known = np.zeros(indexes.shape, np.int64)
        received = nothing(scales.shape)
        expected = received.q.reshape(-1)
        weights = np.repeat(squared_gain_steps(scales.codec), scales.shape[1] * scales.shape[2])
        for number, plane in enumerate(ladder := planes(scales.codec)):
            context = plane.context(indexes, known)
            order = np.lexsort((context, -(plane.priority[context] + weights)))
            digits = yield Pass(
                runs_of(context[order]), plane.tables, partial(_ordered_digits, plane, order)
            )
            there = order[: len(digits)]
            received.there.reshape(-1)[there] = True
            known[there] += digits.astype(np.int64) * (plane.span // 3)
            if number + 1 < len(ladder):
                finer = ladder[number + 1]
                expected[there] = finer.mean[finer.context(indexes[there], known[there])]
            else:
                expected[there] = known[there]
            if len(digits) < len(order):
                break
        return received


def squared_gain_steps(codec: "Codec") -> Ints:
    """Each channel's squared gain, its logarithm in steps of ``FACTOR``, int64 (C,)."""
    step = 2 * math.log(SCALE_MAX / SCALE_MIN) / (SCALE_COUNT - 1)
    steps: Ints = np.rint(gain_shifts(codec) * (step / math.log(FACTOR))).astype(np.int64)
    return steps


def digits_of(q: Ints, plane: Plane) -> Ints:
    """The digits of a plane, int32, flat."""
    unit = plane.span // 3
    return ((q.reshape(-1) + unit // 2) // unit + 1) % 3 - 1


def _ordered_digits(plane: Plane, order: Ints, q: Ints) -> Ints:
    return digits_of(q, plane)[order]


@lru_cache(maxsize=4)
def planes(codec: "Codec") -> tuple[Plane, ...]:
    """The planes, the most significant first."""
    return tuple(
        _plane(codec.walker.tables.frequencies.astype(np.int64), 3 ** (PLANES - n))
        for n in range(PLANES)
    )


def _plane(frequencies: Ints, span: int) -> Plane:
    unit = span // 3
    reach = (Q_MAX + span // 2) // span
    # thirds of every node, left to right, are the intervals of `unit` values around the multiples of `unit`
    edges = np.arange(-3 * reach - 1, 3 * reach + 3) * unit - unit // 2
    columns = np.clip(edges + Q_MAX, 0, ALPHABET)
    values = np.arange(-Q_MAX, Q_MAX + 1)

    def thirds(weights: Ints) -> Ints:
        """Sums of (64, 255) over the thirds of each node: (64 · nodes, 3)."""
        sums = np.concatenate((np.zeros((len(weights), 1), weights.dtype), weights.cumsum(1)), 1)[
            :, columns
        ]
        return np.diff(sums, axis=1).reshape(-1, 3)

    counts = thirds(frequencies)
    first, second = thirds(frequencies * values), thirds(frequencies * values**2)
    total = counts.sum(1)
    mean = first.sum(1) / total
    before = second.sum(1) - first.sum(1) * mean
    after = (second - np.where(counts, first / np.maximum(counts, 1), 0) * first).sum(1)
    share = counts / total[:, None]
    bits = -(share * np.log2(np.maximum(share, 1e-12))).sum(1)
    saved = np.maximum(before - after, 1e-9) / total
    # Floats decide here, once: a constant of the rival for a checkpoint, as much as the tables are.
    priority = np.rint(np.log(saved / np.maximum(bits, 1e-9)) / np.log(FACTOR)).astype(np.int64)
    return Plane(span, reach, Tables(_digit_frequencies(counts)), priority, mean.astype(np.float32))


def _digit_frequencies(counts: Ints) -> Ints:
    """Tables (T, 255) over the alphabet of q for the digits -1, 0, 1: proportional to counts (T, 3), all others 1."""
    rows = np.ones((len(counts), ALPHABET), np.int64)
    middle = rows[:, Q_MAX - 1 : Q_MAX + 2]
    middle += counts * (TOTAL - ALPHABET) // counts.sum(1, keepdims=True)
    middle[np.arange(len(counts)), counts.argmax(1)] += TOTAL - rows.sum(1)
    return rows.astype(np.uint32)
