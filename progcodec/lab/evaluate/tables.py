"""What the measurements say, in Markdown."""

import math
from collections.abc import Mapping

from progcodec.config import LEVELS
from progcodec.lab.evaluate.metrics import Curve, bd_psnr, bd_rate, common_range, rate_at
from progcodec.lab.evaluate.points import Mean, Point

NOTHING = "–"
"""Stands where two curves share no PSNR: nothing is extrapolated."""


def levels_table(ends: list[Mean], measured: Mapping[str, Curve]) -> str:
    """Each level end, and its rate against that of each measured codec *at the same PSNR*."""
    head = [
        "level",
        "bytes",
        "bpp",
        "PSNR (dB)",
        "MS-SSIM",
        *(f"rate against {name}" for name in measured),
    ]
    rows = [
        [
            mean.setting,
            f"{mean.bytes:,.0f}",
            f"{mean.bpp:.4f}",
            f"{mean.psnr:.2f}",
            _ssim(mean.ms_ssim),
        ]
        + [_against(mean, curve) for curve in measured.values()]
        for mean in ends
    ]
    return markdown(head, rows)


def cuts_table(cuts: list[Mean]) -> str:
    head = ["cut", "bytes", "bpp", "PSNR (dB)", "MS-SSIM"]
    return markdown(
        head,
        [
            [c.setting, f"{c.bytes:,.0f}", f"{c.bpp:.4f}", f"{c.psnr:.2f}", _ssim(c.ms_ssim)]
            for c in cuts
        ],
    )


def bd_table(
    ends: Curve, cuts: Curve, measured: Mapping[str, Curve], published: Mapping[str, Curve]
) -> str:
    """BD-rate of the level ends and of the cuts, separately, against every other curve.

    Between three level ends the interpolation has much to invent: take that column as the coarser measure of the two.
    """
    head = ["against", "source", "level ends", "over (dB)", "cuts", "over (dB)", "cuts, BD-PSNR"]
    rows = []
    for source, curves in (("measured", measured), ("published", published)):
        for name, curve in curves.items():
            rows.append([name, source, *_bd(curve, ends)[:2], *_bd(curve, cuts)])
    return markdown(head, rows)


def per_picture_table(points: list[Point], names: list[str]) -> str:
    """Means over the pictures of each picture's own BD-rate, which no sharing of bits between pictures can move."""
    head = ["against", "cuts, mean of the pictures", "best", "worst"]
    rows = []
    for name in names:
        own = [
            _own(points, image, name) for image in dict.fromkeys(point.image for point in points)
        ]
        found = [rate for rate in own if rate is not None]
        cells = (
            [f"{sum(found) / len(found):+.1f} %", f"{min(found):+.1f} %", f"{max(found):+.1f} %"]
            if found
            else []
        )
        rows.append([name, *(cells or [NOTHING] * 3)])
    return markdown(head, rows)


def end_line(ends: list[Mean]) -> str:
    last = ends[-1]
    return f"At the file's end ({LEVELS[-1]}): {last.psnr:.2f} dB at {last.bpp:.4f} bits per pixel."


def _own(points: list[Point], image: str, name: str) -> float | None:
    curves = [
        [(8 * p.bytes / p.pixels, p.psnr) for p in points if p.image == image and p.curve == curve]
        for curve in (name, "cuts")
    ]
    try:
        return bd_rate(*curves)
    except ValueError:
        return None


def _bd(reference: Curve, curve: Curve) -> list[str]:
    """BD-rate, the PSNRs that it is a mean over, and BD-PSNR."""
    try:
        low, high = common_range(reference, curve)
        return [
            f"{bd_rate(reference, curve):+.1f} %",
            f"{low:.1f}–{high:.1f}",
            f"{bd_psnr(reference, curve):+.2f} dB",
        ]
    except ValueError:
        return [NOTHING] * 3


def _against(mean: Mean, curve: Curve) -> str:
    other = rate_at(curve, mean.psnr)
    return NOTHING if math.isnan(other) else f"{100 * (mean.bpp / other - 1):+.1f} %"


def _ssim(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.4f}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
