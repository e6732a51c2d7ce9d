"""What a rival may know of a checkpoint beside its networks, measured on one photograph: a correction of σ, and what σ is worth.

Our σ of blocks 2 and 3 comes from Δ-networks that see the whole blocks before. A scheme that mixes blocks cannot have that. It
gets the best that can be had without training: the Δ-networks see, for every symbol that has not arrived, the *expected*
magnitude under its own σ (:func:`foreseen`), and then each channel's σ-indices go through a map, a slope and a shift, that makes
the photograph's symbols cheapest. A trained rival would have all this inside its network; here the maps are constants of the
rival for a checkpoint, the same on both sides, and not sent. All that is done with them is integer arithmetic.

"Largest σ first" is best where a unit of error weighs the same in every channel. In our latent it does not: coarse channels
predict finer ones, so an error in them costs some twenty times as much. So the rivals sort by σ times the channel's gain
(:func:`gain_shifts`), the distortion that an element is expected to save; by σ alone they fare far worse.
"""

import math
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from progcodec import assets
from progcodec.arrays import Flags, Floats, Ints
from progcodec.bitstream.tables import TOTAL, Tables
from progcodec.config import ALPHABET, Q_MAX, SCALE_COUNT, SCALE_MAX, SCALE_MIN
from progcodec.image import open_image
from progcodec.lab.evaluate.rivals.latent import Scales, Source, analyse, squared_gains
from progcodec.lab.evaluate.rivals.scheme import Received, nothing

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec

SLOPES = (8, 10, 12, 14, 16, 20, 24)
"""Slopes of a map, in sixteenths."""
SHIFTS = range(-20, 21)
"""Shifts of a map; one step of a σ-index is a factor of 1.11."""


@lru_cache(maxsize=4)
def example(codec: "Codec") -> tuple[Source, Scales]:
    """The integers of the photograph that comes with the package, and its scale path."""
    photograph = open_image(assets.FOLDER / "china.jpg")
    source = analyse(codec, photograph)
    return source, Scales(codec, source.z, source.width, source.height)


def foreseen(scales: Scales, received: Received) -> Ints:
    """σ-indices of all elements, uint8 (C, h, w), from ẑ and whatever integers q have arrived, of whichever block."""
    expected = _expected_magnitudes(scales.tables)
    q = received.q.astype(np.int32)
    known: Ints | None = None
    blocks = []
    for k, (start, end) in enumerate(pairwise(scales.offsets)):
        blocks.append(scales.block(k, known))
        filled = np.where(received.there[start:end], q[start:end], expected[blocks[-1]])
        known = filled if known is None else np.concatenate((known, filled))
    return np.concatenate(blocks)


def mapped(indexes: Ints, maps: Ints) -> Ints:
    """σ-indices (C, h, w) through each channel's map, uint8 (C, 64)."""
    return np.take_along_axis(maps, indexes.reshape(len(maps), -1), 1).reshape(indexes.shape)


def cheapest_maps(indexes: Ints, q: Ints, counted: Flags, tables: Tables) -> Ints:
    """For each channel the map of σ-indices, uint8 (C, 64), under which its symbols cost least.

    Args:
        indexes, q: (C, h, w); counted: bool (C, h, w), the symbols that count. A channel without any keeps its indices.
    """
    channels = len(q)
    cell = (np.arange(channels)[:, None, None] * SCALE_COUNT + indexes) * ALPHABET + q + Q_MAX
    histogram = np.bincount(cell[counted], minlength=channels * SCALE_COUNT * ALPHABET).reshape(
        channels, SCALE_COUNT, -1
    )
    costs = (
        histogram @ tables.bits.T
    )  # [c, i, j]: bits of channel c's symbols of index i, coded as if it were j
    seen = histogram.sum(2)
    index = np.arange(SCALE_COUNT)
    pivot = (seen @ index // np.maximum(seen.sum(1), 1))[:, None]
    best, least = np.tile(index, (channels, 1)), np.einsum("cii->c", costs)
    for slope in SLOPES:
        turned = pivot + ((index - pivot) * slope + 8) // 16
        for shift in SHIFTS:
            candidate = np.clip(turned + shift, 0, SCALE_COUNT - 1)
            cost = np.take_along_axis(costs, candidate[:, :, None], 2).sum((1, 2))
            better = cost < least
            best[better], least = candidate[better], np.minimum(cost, least)
    return best.astype(np.uint8)


@lru_cache(maxsize=4)
def _first_maps(codec: "Codec") -> Ints:
    source, scales = example(codec)
    return cheapest_maps(
        foreseen(scales, nothing(scales.shape)),
        source.q,
        np.ones(source.q.shape, bool),
        scales.tables,
    )


def blind_indexes(scales: Scales) -> Ints:
    """The best σ-indices, uint8 (C, h, w), that a decoder can have before any q: from ẑ alone."""
    return mapped(foreseen(scales, nothing(scales.shape)), _first_maps(scales.codec))


@lru_cache(maxsize=4)
def gains(codec: "Codec") -> Floats:
    """:func:`squared_gains` of the photograph."""
    return squared_gains(codec, example(codec)[0])


@lru_cache(maxsize=4)
def gain_shifts(codec: "Codec") -> Ints:
    """log of each channel's gain in steps of a σ-index, int64 (C,): what to add to an index to get its element's priority."""
    logarithms = 0.5 * np.log(np.maximum(gains(codec) / gains(codec).mean(), 1e-6))
    steps: Ints = np.rint(logarithms * (SCALE_COUNT - 1) / math.log(SCALE_MAX / SCALE_MIN)).astype(
        np.int64
    )
    return steps


def priority_order(indexes: Ints, shifts: Ints) -> Ints:
    """Flat positions of (C, h, w) by falling priority, index + channel's shift; equal ones by falling index, then position."""
    priority = indexes + shifts[:, None, None]
    order: Ints = np.lexsort((-indexes.reshape(-1).astype(np.int64), -priority.reshape(-1)))
    return order


def _expected_magnitudes(tables: Tables) -> Ints:
    """round(E|q|) under each σ-index, int32 (64,)."""
    sums: Ints = tables.frequencies.astype(np.int64) @ np.abs(np.arange(-Q_MAX, Q_MAX + 1))
    return ((2 * sums + TOTAL) // (2 * TOTAL)).astype(np.int32)
