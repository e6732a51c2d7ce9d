"""Frequency tables: shape, sums, symmetry, and what a checkpoint must not contain."""

import numpy as np
import pytest

from progcodec.bitstream.tables import TOTAL, Tables
from progcodec.errors import CheckpointError
from progcodec.lab.train.tables import gaussian_frequencies, quantise_pmf

GAUSSIAN = gaussian_frequencies()


def test_gaussian_tables_are_what_they_promise():
    assert GAUSSIAN.shape == (64, 255) and GAUSSIAN.dtype == np.uint32
    assert (GAUSSIAN.sum(axis=1, dtype=np.int64) == TOTAL).all()
    assert GAUSSIAN.min() == 1
    np.testing.assert_array_equal(GAUSSIAN, GAUSSIAN[:, ::-1])
    assert (np.diff(GAUSSIAN[:, 127:254].astype(np.int64), axis=1) <= 0).all(), (
        "falling from the centre outwards"
    )


def test_gaussian_tables_have_the_right_spread():
    q = np.arange(-127, 128)
    deviation = np.sqrt((GAUSSIAN * q**2.0).sum(axis=1) / TOTAL)
    sigma = 0.11 * (64 / 0.11) ** (np.arange(64) / 63)
    # Rounding adds 1/12 to the variance; below, the floor of one count shows, beyond, the folded
    # tails do.
    wide = (sigma > 5) & (sigma < 35)
    np.testing.assert_allclose(deviation[wide], np.sqrt(sigma[wide] ** 2 + 1 / 12), rtol=2e-3)


def test_gaussian_counts_are_frozen():
    assert GAUSSIAN[0, [126, 127]].tolist() == [46, 16776872]
    assert GAUSSIAN[30, [120, 126, 127]].tolist() == [28166, 2649110, 2911848]
    assert GAUSSIAN[63, [0, 1, 127]].tolist() == [403417, 15059, 104580]


def test_quantise_pmf():
    rng = np.random.default_rng(3)
    pmf = np.concatenate(
        [rng.random((20, 255)), rng.random((20, 255)) ** 60, np.eye(255)[:5], np.ones((1, 255))]
    )
    counts = quantise_pmf(pmf)
    Tables(counts)
    np.testing.assert_allclose(
        counts[:40] / TOTAL, pmf[:40] / pmf[:40].sum(axis=1, keepdims=True), atol=300 / TOTAL
    )
    assert counts[40, 0] == TOTAL - 254 and counts[40, 1] == 1
    np.testing.assert_array_equal(counts, quantise_pmf(pmf * 7.0))


@pytest.mark.parametrize(
    "pmf", [np.ones((2, 254)), np.ones(255), -np.ones((1, 255)), np.zeros((1, 255))]
)
def test_quantise_pmf_refuses(pmf):
    with pytest.raises(ValueError):
        quantise_pmf(pmf)


def changed(column: int, value: int) -> np.ndarray:
    table = GAUSSIAN.astype(np.int64)
    table[5, column] += value
    return table


BAD = {
    "shape": GAUSSIAN[:, :-1],
    "rank": GAUSSIAN[0],
    "empty": GAUSSIAN[:0],
    "floats": GAUSSIAN / TOTAL,
    "sum": changed(127, 1),
    "zero": changed(0, -1) + (np.arange(255) == 127),
    "negative": changed(0, -9),
    "wraps to the right sum": changed(0, 1 << 32),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused(name):
    with pytest.raises(CheckpointError):
        Tables(BAD[name])


def test_bits_and_models():
    tables = Tables(GAUSSIAN)
    assert len(tables) == 64
    np.testing.assert_allclose(2.0**-tables.bits * TOTAL, GAUSSIAN)
    assert tables.bits[0, 0] == 24
    assert tables.model(3) is tables.model(3)
    with pytest.raises(ValueError):
        tables.frequencies[0, 0] = 2
