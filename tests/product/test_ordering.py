"""Coding order: permutations that sort, runs that fit them, prefixes that land where they
belong.
"""

import numpy as np
import pytest

from progcodec.bitstream import ordering
from progcodec.lab.train.tables import channel_order, gaussian_frequencies

RNG = np.random.default_rng(0)
INDEXES = RNG.integers(0, 64, (7, 5, 6)).astype(np.uint8)
PRIORITIES = RNG.integers(0, 256, (7, 64)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_coding_order_is_stable_and_falling(dtype):
    order, _ = ordering.coding_order(INDEXES.astype(dtype))
    assert order.dtype == np.int64
    expected = sorted(range(INDEXES.size), key=lambda i: (-int(INDEXES.flat[i]), i))
    assert order.tolist() == expected


def test_priorities_come_before_indexes():
    order, _ = ordering.coding_order(INDEXES, PRIORITIES)
    own = [int(PRIORITIES[i // 30, INDEXES.flat[i]]) for i in range(INDEXES.size)]
    expected = sorted(range(INDEXES.size), key=lambda i: (-own[i], -int(INDEXES.flat[i]), i))
    assert order.tolist() == expected
    alike = ordering.coding_order(INDEXES, np.full_like(PRIORITIES, 7))
    assert alike[0].tolist() == ordering.coding_order(INDEXES)[0].tolist()
    assert alike[1] == ordering.coding_order(INDEXES)[1]


@pytest.mark.parametrize("priorities", [None, PRIORITIES])
def test_runs_describe_the_order(priorities):
    order, runs = ordering.coding_order(INDEXES, priorities)
    coded = INDEXES.reshape(-1)[order]
    assert np.repeat([i for i, _ in runs], [n for _, n in runs]).tolist() == coded.tolist()
    rows = None if priorities is None else priorities[:2]
    assert ordering.coding_order(np.full((2, 3, 4), 9), rows)[1][-1][0] == 9
    order, runs = ordering.coding_order(np.zeros((2, 0, 2), np.uint8), rows)
    assert order.tolist() == [] and runs == []


@pytest.mark.parametrize(
    "indexes", [np.full((1, 1, 1), 64), np.full((1, 1, 1), -1), np.zeros((1, 1, 1))]
)
def test_indexes_out_of_range_are_refused(indexes):
    for priorities in (None, PRIORITIES[:1]):
        with pytest.raises(ValueError):
            ordering.coding_order(indexes, priorities)


def test_gather_and_place_are_inverse_on_every_prefix():
    values = RNG.integers(-127, 0, INDEXES.shape)
    order, _ = ordering.coding_order(INDEXES)
    symbols = ordering.gather(values, order)
    assert symbols.dtype == np.int32
    for count in (0, 1, 100, values.size):
        back = np.zeros_like(values)
        ordering.place(symbols[:count], order, back)
        received = back != 0
        assert received.sum() == count
        np.testing.assert_array_equal(back, np.where(received, values, 0))
        if 0 < count < values.size:
            assert INDEXES[received].min() >= INDEXES[~received].max()


def test_channel_order_is_by_falling_entropy_and_stable():
    table = gaussian_frequencies()
    assert channel_order(table[[3, 40, 3, 20]]).tolist() == [1, 3, 0, 2]
    assert channel_order(table[[3, 40, 3, 20, 41]], first=3).tolist() == [1, 0, 2, 4, 3]


def test_places_of_the_first_symbols():
    back = np.zeros((3, 2, 4), np.int64)
    ordering.place(np.arange(1, 12), np.roll(np.arange(24), 8), back)
    assert back[2].all() and (back[0] > 0).sum() == 3 and not back[1].any()
    assert back[2].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
