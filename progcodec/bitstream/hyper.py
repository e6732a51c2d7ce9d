"""How the hyperlatent ẑ is coded: in which steps, with which tables, and what the positions around
tell of it. Integers only.

Without a context, ẑ is one step, channel after channel, with a table for each. With one, channels
come in groups, and the positions of a group in three phases, each of which sees the ones before::

    0 2 0 2 0     0: nothing is known around it
    2 1 2 1 2     1: the four 0s at its corners
    0 2 0 2 0     2: the four 0s and 1s beside it

A position at the edge sees its inner neighbour twice. What is around gives, for each symbol::

    m  = W_d·Σ corners  or  W_v·(above + below) + W_h·(left + right)    in 1/256, by channel
    μ  = ⌊(m + 128) / 256⌋ within −127 … 127,     f = m − 256·μ,     sign = −1 where f < 0, else 1
    a  = 2·(largest − smallest neighbour) + Σ |neighbour|
    row of the table = 10·channel + (0, 1 + bin or 4 + 2·bin + (|f| > 51), by phase)

where bin counts the channel's two thresholds of that phase below a. The symbol is
sign·(ẑ − μ), so ẑ = μ where none arrived: what a cut leaves out is interpolated. In a step, symbols
come by the order of their channels, then by row of the table, then by position.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Array, Ints
from progcodec.bitstream.ordering import Runs
from progcodec.config import HYPER_BINS, HYPER_CONTEXTS, Q_MAX

WEIGHT_ONE = 256
"""A weight of one. The largest is below 128 of it, so that no sum leaves 32 bits."""
FRACTION = 51
"""In phase 2, what is left of m beyond this, in either direction, has tables of its own."""
# rows and columns of the four neighbours of a position
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
BESIDE = ((-1, 0), (1, 0), (0, -1), (0, 1))


class HyperStep(NamedTuple):
    """Symbols that are coded together: those at some positions of some channels.

    Attributes:
        places: flat positions in (C, h, w), int64 (channels · positions,).
        neighbours: of each place, flat, (4, channels · positions); none in the first phase.
        channels: of each place.
        phase: 0, 1 or 2.
    """

    places: Ints
    neighbours: Ints | None
    channels: Ints
    phase: int


class Guess(NamedTuple):
    """What is known of a step's symbols before they come, int32 (N, m) each.

    Attributes:
        mean, sign: μ and sign. rows: of the table.
    """

    places: Ints
    mean: Ints
    sign: Ints
    rows: Ints

    def symbols(self, z: Ints) -> Ints:
        """What is coded of ẑ, (N, C, h, w), int8 (N, m)."""
        given = z.reshape(len(z), -1)[:, self.places].astype(np.int32)
        return np.clip((given - self.mean) * self.sign, -Q_MAX, Q_MAX).astype(np.int8)

    def put(self, z: Ints, symbols: Ints) -> None:
        """Puts the ẑ of these symbols, (N, m), in place; z is contiguous."""
        values = np.clip(self.mean + symbols * self.sign, -Q_MAX, Q_MAX)
        z.reshape(len(z), -1)[:, self.places] = values


class HyperCoding:
    """The steps of a hyperlatent, and what each symbol's table is.

    Args:
        order: channels in coding order.
        groups: how many of these are coded together, one number for each group; none: no context.
        weights: int32 (C, 3): W_d, W_v and W_h.
        thresholds: int32 (C, 2, 2): of phases 1 and 2.
    """

    def __init__(
        self,
        order: Ints,
        groups: Sequence[int] = (),
        weights: Ints | None = None,
        thresholds: Ints | None = None,
    ) -> None:
        self.order, self.groups = np.asarray(order, np.int64), tuple(groups)
        self.weights, self.thresholds = weights, thresholds
        self.contexts = HYPER_CONTEXTS if groups else 1
        self.rank = np.argsort(self.order)

    def steps(self, height: int, width: int) -> list[HyperStep]:
        """The steps of a hyperlatent of so many positions; none is empty."""
        area = height * width
        if not self.groups:
            places = (self.order[:, None] * area + np.arange(area)).reshape(-1)
            return [HyperStep(places, None, self.order.repeat(area), 0)] if area else []
        steps, first = [], 0
        for count in self.groups:
            channels = self.order[first : first + count, None]
            first += count
            for phase, (positions, neighbours) in enumerate(lattice(height, width)):
                if not len(positions):
                    continue
                places = (channels * area + positions).reshape(-1)
                around = None
                if neighbours is not None:
                    around = (channels * area + neighbours[:, None]).reshape(4, -1)
                own = channels[:, 0].repeat(len(positions))
                steps.append(HyperStep(places, around, own, phase))
        return steps

    def guess(self, z: Ints, step: HyperStep) -> Guess:
        """From ẑ so far, int8 (N, C, h, w)."""
        rows = step.channels * self.contexts
        shape = len(z), len(step.places)
        if step.neighbours is None:
            zero = np.zeros(shape, np.int32)
            return Guess(step.places, zero, zero + 1, np.broadcast_to(rows, shape))
        assert self.weights is not None and self.thresholds is not None
        around = z.reshape(len(z), -1)[:, step.neighbours].astype(np.int32)
        first, second = (0, 0) if step.phase == 1 else (1, 2)
        own = self.weights[step.channels]
        exact = own[:, first] * (around[:, 0] + around[:, 1])
        exact += own[:, second] * (around[:, 2] + around[:, 3])
        mean = np.clip((exact + WEIGHT_ONE // 2) // WEIGHT_ONE, -Q_MAX, Q_MAX)
        left = exact - WEIGHT_ONE * mean
        limits = self.thresholds[step.channels, step.phase - 1]
        bins = (activity(around)[:, :, None] > limits).sum(2)
        context = 1 + bins
        if step.phase == 2:
            context = 1 + HYPER_BINS + 2 * bins + (np.abs(left) > FRACTION)
        sign = np.where(left < 0, -1, 1).astype(np.int32)
        return Guess(step.places, mean, sign, rows + context)

    def coding_order(self, rows: Ints) -> tuple[Ints, Runs]:
        """Of a step's symbols with these rows of the table, (m,): the permutation in which they are
        coded, int64, and its runs.
        """
        channels, contexts = np.divmod(rows, self.contexts)
        keys = self.rank[channels] * self.contexts + contexts
        order = np.argsort(keys, kind="stable")
        counts = np.bincount(keys)
        runs = [
            (int(self.order[key // self.contexts]) * self.contexts + key % self.contexts, count)
            for key, count in zip(np.flatnonzero(counts).tolist(), counts[counts > 0].tolist())
        ]
        return order, runs

    def restored(self, symbols: Ints) -> Ints:
        """ẑ, int8 (N, C, h, w), of symbols in their places; 0 where none arrived."""
        z = np.zeros(symbols.shape, np.int8)
        flat = symbols.reshape(len(symbols), -1)
        for step in self.steps(*symbols.shape[2:]):
            self.guess(z, step).put(z, flat[:, step.places])
        return z


def activity(around: Array) -> Array:
    """a, (N, …), of the four neighbours, (N, 4, …)."""
    lively: Array = 2 * (around.max(1) - around.min(1)) + np.abs(around).sum(1)
    return lively


@lru_cache(maxsize=64)
def lattice(height: int, width: int) -> list[tuple[Ints, Ints | None]]:
    """Of each phase: flat positions in (h, w), and those of their four neighbours, (4, m)."""
    rows, columns = np.mgrid[:height, :width]
    found: list[tuple[Ints, Ints | None]] = []
    masks = (
        (rows % 2 == 0) & (columns % 2 == 0),
        (rows % 2 == 1) & (columns % 2 == 1),
        (rows + columns) % 2 == 1,
    )
    for phase, mask in enumerate(masks):
        y, x = rows[mask], columns[mask]
        around = None
        if phase:
            offsets = CORNERS if phase == 1 else BESIDE
            around = np.stack(
                [_inside(y + dy, height) * width + _inside(x + dx, width) for dy, dx in offsets]
            )
        found.append((y * width + x, around))
    return found


def _inside(place: Ints, count: int) -> Ints:
    """Places beyond an edge, mirrored at it; where there is one alone, that one."""
    return np.abs(np.minimum(place, 2 * (count - 1) - place)) if count > 1 else place * 0
