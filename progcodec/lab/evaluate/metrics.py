"""MS-SSIM and the Bjøntegaard deltas.

A *curve* is a sequence of ``(bits per pixel, PSNR in dB)`` points in any order, each the mean over
a set of images at one setting. Deltas compare curves after G. Bjøntegaard, "Calculation of average
PSNR differences between RD-curves" (ITU-T VCEG-M33, 2001), with the piecewise-cubic (PCHIP)
interpolation that is used since instead of one cubic: it runs through every point, never overshoots
between two, and takes any number of points from two up.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from progcodec.arrays import Floats, Pixels
from progcodec.lab.extras import extra
from progcodec.metrics import check_pair

Curve = Sequence[tuple[float, float]]

MS_SSIM_MIN_SIDE = 161
"""Four halvings must leave the 11-pixel window room."""


def ms_ssim(reference: Pixels, picture: Pixels) -> float:
    """MS-SSIM of two uint8 arrays (H, W, 3), mean of the colours; NaN if a side is under 161 px."""
    check_pair(reference, picture)
    if min(reference.shape[:2]) < MS_SSIM_MIN_SIDE:
        return float("nan")
    with extra("evaluate", "MS-SSIM"):
        import torch
        from pytorch_msssim import ms_ssim as measure
    first, second = (
        torch.from_numpy(a.copy()).permute(2, 0, 1)[None].float() for a in (reference, picture)
    )
    return float(measure(first, second, data_range=255.0))


def bd_rate(reference: Curve, curve: Curve) -> float:
    """Mean difference in rate at equal PSNR, in percent of the reference's; negative where
    ``curve`` needs fewer bits.

    The mean is taken over log-rate, uniformly over the PSNR range that both curves cover
    (:func:`common_range`). Raises ValueError where they share none.
    """
    low, high = common_range(reference, curve)
    mean = _mean_over(_by_psnr(curve), low, high) - _mean_over(_by_psnr(reference), low, high)
    return 100 * (float(np.exp(mean)) - 1)


def common_range(reference: Curve, curve: Curve) -> tuple[float, float]:
    """The PSNRs that :func:`bd_rate` averages over. Raises ValueError where there are none."""
    first, second = _by_psnr(reference), _by_psnr(curve)
    low, high = max(first[0, 0], second[0, 0]), min(first[-1, 0], second[-1, 0])
    if low >= high:
        raise ValueError("the curves share no range")
    return float(low), float(high)


def rate_at(curve: Curve, value: float) -> float:
    """Bits per pixel that the curve needs for a PSNR; NaN outside the PSNRs that it covers."""
    points = _by_psnr(curve)
    if not points[0, 0] <= value <= points[-1, 0]:
        return float("nan")
    return float(np.exp(_pchip(points)(value)))


def efficient(curve: Curve) -> list[tuple[float, float]]:
    """The points that nobody would pass over, by rising rate: those where no other has as much PSNR
    for as few bits.

    Interpolation needs curves where both coordinates rise. Where a codec's settings fall back (more
    bits, no better),
    the fallen point goes: a user would choose the cheaper setting. Raises ValueError on points that
        are not finite, on
    rates that are not positive, and where fewer than two points are left.
    """
    points = sorted(
        {(float(rate), float(value)) for rate, value in curve},
        key=lambda point: (point[0], -point[1]),
    )
    if not all(np.isfinite(point).all() and point[0] > 0 for point in points):
        raise ValueError("a curve needs finite points with positive rates")
    kept: list[tuple[float, float]] = []
    for rate, value in points:
        if not kept or value > kept[-1][1]:
            kept.append((rate, value))
    if len(kept) < 2:
        raise ValueError("a curve needs two points or more where PSNR rises with the rate")
    return kept


def _by_psnr(curve: Curve) -> Floats:
    """(n, 2) float64: PSNR, log-rate; both rising."""
    return np.array([(value, np.log(rate)) for rate, value in efficient(curve)])


def _mean_over(points: Floats, low: float, high: float) -> float:
    return float(_pchip(points).integrate(low, high)) / (high - low)


def _pchip(points: Floats) -> Any:
    with extra("evaluate", "comparing curves"):
        from scipy.interpolate import PchipInterpolator
    return PchipInterpolator(points[:, 0], points[:, 1])
