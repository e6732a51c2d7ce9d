"""Metrics by cases that can be checked by hand."""

import math

import numpy as np
import pytest

from progcodec.lab.evaluate import metrics
from progcodec.metrics import psnr

REFERENCE = [(0.1, 26.0), (0.2, 29.0), (0.4, 32.5), (0.8, 36.0), (1.6, 40.0)]


def scaled(curve, factor):
    return [(factor * rate, value) for rate, value in curve]


def test_psnr_by_hand():
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black + 255) == 0
    assert psnr(black, black + 1) == pytest.approx(20 * math.log10(255))
    one_off = black.copy()
    one_off[0, 0, 0] = 255  # 1 sample of 48
    assert psnr(black, one_off) == pytest.approx(10 * math.log10(48))
    assert psnr(black, black) == math.inf


@pytest.mark.parametrize("other", [np.zeros((4, 5, 3), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_pairs_must_fit(other):
    with pytest.raises(ValueError, match="uint8"):
        psnr(np.zeros((4, 4, 3), np.uint8), other)


def test_ms_ssim():
    picture = np.random.default_rng(0).integers(0, 256, (161, 170, 3), dtype=np.uint8)
    assert metrics.ms_ssim(picture, picture) == pytest.approx(1)
    assert metrics.ms_ssim(picture, 255 - picture) < 0.5
    assert math.isnan(metrics.ms_ssim(picture[:160], picture[:160]))


@pytest.mark.parametrize(("factor", "percent"), [(1.0, 0.0), (0.8, -20.0), (1.5, 50.0)])
def test_bd_rate_of_a_scaled_rate(factor, percent):
    for curve in (scaled(REFERENCE, factor), scaled(REFERENCE[::-1], factor)):
        assert metrics.bd_rate(REFERENCE, curve) == pytest.approx(percent, abs=1e-9)


def test_straight_lines_by_hand():
    # log2(rate) against PSNR: slope 1/6 against 1/3 from the same start, so the mean log2-ratio
    # over 30..36 is 1/2
    assert metrics.bd_rate([(1, 30), (2, 36)], [(1, 30), (4, 36)]) == pytest.approx(
        100 * (2**0.5 - 1)
    )
    assert metrics.rate_at([(1, 30), (4, 36)], 33) == pytest.approx(2)


def test_only_the_common_range_counts():
    part = [(0.25, 29.0), (0.5, 32.5)]
    assert metrics.common_range(REFERENCE, part) == (29.0, 32.5)
    assert metrics.bd_rate(REFERENCE[1:3], part) == pytest.approx(25)
    assert math.isnan(metrics.rate_at(part, 28.9)) and math.isnan(metrics.rate_at(part, 32.6))
    with pytest.raises(ValueError, match="share no range"):
        metrics.bd_rate(REFERENCE, [(1, 50), (2, 52)])


def test_fallen_points_are_passed_over():
    fallen = [*REFERENCE, (0.5, 32.0), (0.4, 31.0), (0.9, 36.0)]
    assert metrics.efficient(fallen) == REFERENCE
    assert metrics.bd_rate(REFERENCE, fallen) == 0


@pytest.mark.parametrize(
    "curve",
    [
        [], [(1, 30)], [(1, 30), (2, 29)], [(0, 30), (1, 31)], [(1, 30), (2, math.inf)],
        [(math.nan, 30), (2, 31)],
    ],
)  # fmt: skip
def test_what_is_no_curve(curve):
    with pytest.raises(ValueError, match="curve needs"):
        metrics.bd_rate(REFERENCE, curve)
