"""Coding order: permutations that sort, runs that fit them, prefixes that land where they
belong.
"""

import numpy as np
import pytest

from progcodec.bitstream import ordering
from progcodec.lab.train.tables import channel_order, gaussian_frequencies

RNG = np.random.default_rng(0)
INDEXES = RNG.integers(0, 64, (7, 5, 6)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_coding_order_is_stable_and_falling(dtype):
    order = ordering.coding_order(INDEXES.astype(dtype))
    assert order.dtype == np.int64
    expected = sorted(range(INDEXES.size), key=lambda i: (-int(INDEXES.flat[i]), i))
    assert order.tolist() == expected


def test_runs_describe_the_order():
    runs = ordering.runs(INDEXES)
    coded = INDEXES.reshape(-1)[ordering.coding_order(INDEXES)]
    assert np.repeat([i for i, _ in runs], [n for _, n in runs]).tolist() == coded.tolist()
    assert ordering.runs(np.full((2, 3, 4), 9)) == [(9, 24)]
    assert ordering.runs(np.zeros((3, 0, 2), np.uint8)) == []


@pytest.mark.parametrize(
    "indexes", [np.full((1, 1, 1), 64), np.full((1, 1, 1), -1), np.zeros((1, 1, 1))]
)
def test_indexes_out_of_range_are_refused(indexes):
    for function in (ordering.coding_order, ordering.runs):
        with pytest.raises(ValueError):
            function(indexes)


def test_gather_and_place_are_inverse_on_every_prefix():
    values = RNG.integers(-127, 0, INDEXES.shape)
    order = ordering.coding_order(INDEXES)
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
