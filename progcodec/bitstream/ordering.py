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
PRIORITY_MAX = 255
KEYS = SCALE_COUNT * (PRIORITY_MAX + 1)


def coding_order(indexes: Ints, priorities: Ints | None = None) -> tuple[Ints, Runs]:
    """Order of a latent block: by falling priority, then by falling σ-index, ties in
    channel-row-column order.

    Args:
        indexes: integers (C, H, W) in 0..63.
        priorities: uint8 (C, 64), of each channel and σ-index; None: all alike.

    Returns:
        int64 (C * H * W,): the flat position of the first symbol to code, of the second, and so on;
        and the runs that belong to it, none with a zero count.
    """
    keys = _keys(indexes, priorities)
    counts = [
        np.bincount(keys[start : start + CHUNK], minlength=KEYS)
        for start in range(0, len(keys), CHUNK)
    ]
    totals = np.sum(counts or [np.zeros(KEYS, np.int64)], axis=0)
    present = np.flatnonzero(totals)
    runs = [
        (SCALE_COUNT - 1 - key % SCALE_COUNT, count)
        for key, count in zip(present.tolist(), totals[present].tolist(), strict=True)
    ]
    if len(counts) <= 1:
        return np.argsort(keys, kind="stable"), runs
    order = np.empty(len(keys), dtype=np.int64)
    place = np.cumsum(totals) - totals
    for number, chunk in enumerate(counts):
        start = number * CHUNK
        positions = np.argsort(keys[start : start + CHUNK], kind="stable") + start
        ends = np.cumsum(chunk)
        for key in np.flatnonzero(chunk):
            order[place[key] : place[key] + chunk[key]] = positions[
                ends[key] - chunk[key] : ends[key]
            ]
        place += chunk
    return order, runs


def gather(values: Ints, order: Ints) -> Ints:
    """Symbols of (C, H, W) in coding order, int32 (C * H * W,)."""
    return np.asarray(values).reshape(-1)[order].astype(np.int32, copy=False)


def place(symbols: Ints, order: Ints, values: Ints) -> None:
    """Inverse of :func:`gather`: puts the first symbols of a coding order where they belong in a
    contiguous array (C, H, W) of any integer type.
    """
    values.reshape(-1)[order[: len(symbols)]] = symbols


def _keys(indexes: Ints, priorities: Ints | None) -> Ints:
    """Flat, uint16, smaller ones first. Raises ValueError out of range."""
    indexes = np.asarray(indexes)
    if indexes.dtype.kind not in "iu":
        raise ValueError(f"indexes must be integers, not {indexes.dtype}")
    if indexes.size and (indexes.min() < 0 or indexes.max() >= SCALE_COUNT):
        raise ValueError(f"indexes must lie in 0..{SCALE_COUNT - 1}")
    if priorities is None:
        priorities = np.zeros((len(indexes), SCALE_COUNT), np.uint8)
    table = KEYS - 1 - (SCALE_COUNT * priorities.astype(np.int64) + np.arange(SCALE_COUNT))
    # of 16 bits, numpy's stable sort is a radix sort: a few ms for half a million symbols
    keys = np.empty(indexes.shape, np.uint16)
    for out, row, own in zip(keys, table, indexes, strict=True):  # 8 bytes a symbol at once
        out[:] = row[own]
    return keys.reshape(-1)
