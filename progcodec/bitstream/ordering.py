"""In which order symbols are coded. Of a segment of either kind it makes a permutation of the flat
(channel, row, column) positions, and *runs* ``(table index, count)`` of symbols, one after the
other, with the same table.
"""

import numpy as np

from progcodec.arrays import Ints
from progcodec.config import SCALE_COUNT

Runs = list[tuple[int, int]]

CHUNK = 1 << 22
"""Symbols that are sorted together: sorting and counting takes up to 16 bytes more for each."""


def coding_order(indexes: Ints) -> Ints:
    """Order of a latent block: by falling σ-index, ties in channel-row-column order.

    Args:
        indexes: integers (C, H, W) in 0..63.

    Returns:
        int64 (C * H * W,): the flat position of the first symbol to code, of the second, and so on.
    """
    keys = SCALE_COUNT - 1 - _checked(indexes)
    # uint8 makes numpy's stable sort a radix sort: a few ms for half a million symbols
    if len(keys) <= CHUNK:
        return np.argsort(keys, kind="stable")
    counts = _counts(keys)
    order = np.empty(len(keys), dtype=np.int64)
    place = np.cumsum(counts.sum(0)) - counts.sum(0)
    for number, chunk in enumerate(counts):
        start = number * CHUNK
        positions = np.argsort(keys[start : start + CHUNK], kind="stable") + start
        ends = np.cumsum(chunk)
        for key in np.flatnonzero(chunk):
            order[place[key] : place[key] + chunk[key]] = positions[
                ends[key] - chunk[key] : ends[key]
            ]
        place += chunk
    return order


def runs(indexes: Ints) -> Runs:
    """The runs that belong to :func:`coding_order`: falling indexes, none with a zero count."""
    counts = _counts(_checked(indexes)).sum(0)
    return [
        (index, int(counts[index])) for index in range(SCALE_COUNT - 1, -1, -1) if counts[index]
    ]


def gather(values: Ints, order: Ints) -> Ints:
    """Symbols of (C, H, W) in coding order, int32 (C * H * W,)."""
    return np.asarray(values).reshape(-1)[order].astype(np.int32, copy=False)


def place(symbols: Ints, order: Ints, values: Ints) -> None:
    """Inverse of :func:`gather`: puts the first symbols of a coding order where they belong in a
    contiguous array (C, H, W) of any integer type.
    """
    values.reshape(-1)[order[: len(symbols)]] = symbols


def _counts(flat: Ints) -> Ints:
    """How often each of 0..63 occurs in each chunk: int64 (chunks, 64)."""
    chunks = [flat[start : start + CHUNK] for start in range(0, len(flat), CHUNK)]
    counts = [np.bincount(chunk, minlength=SCALE_COUNT) for chunk in chunks]
    return np.array(counts, np.int64).reshape(-1, SCALE_COUNT)


def _checked(indexes: Ints) -> Ints:
    """σ-indexes as a flat uint8 array. Raises ValueError out of range."""
    flat = np.asarray(indexes).reshape(-1)
    if flat.dtype.kind not in "iu":
        raise ValueError(f"indexes must be integers, not {flat.dtype}")
    if flat.size and (flat.min() < 0 or flat.max() >= SCALE_COUNT):
        raise ValueError(f"indexes must lie in 0..{SCALE_COUNT - 1}")
    return flat.astype(np.uint8)
