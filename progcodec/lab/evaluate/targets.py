"""Two numbers that a whole curve comes down to: bytes to 90 % of clean accuracy, and its mean distance from another curve."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Floats
from progcodec.config import LEVELS
from progcodec.lab.evaluate.measurements import CLEAN, CUT, LADDER, OURS
from progcodec.lab.evaluate.metrics import Curve, bd_rate
from progcodec.lab.evaluate.statistics import bounds
from progcodec.lab.evaluate.summary import (
    BEST,
    DELTAS,
    REACHES,
    TARGET,
    Group,
    Point,
    Summary,
    levels_of,
)


class Reach(NamedTuple):
    """Bytes at which a codec first has the target share of clean accuracy.

    Attributes:
        clean: accuracy on the clean pictures (of a classifier that never sees them, on our whole files).
        target: the accuracy asked for, 0.9 of that.
        bytes: between two budgets by the logarithm of bytes; None if no measured budget reaches it. Budgets in bits per pixel,
            where there are no others, count as their bytes for a picture of mean size.
        at_most: whether the smallest budget has it already: then `bytes` is that budget.
        low, high: 95 % confidence; None: not reached.
    """

    codec: str
    mode: str
    classifier: str
    level: str
    clean: float
    target: float
    bytes: float | None
    at_most: bool
    low: float | None
    high: float | None


class Delta(NamedTuple):
    """A codec's curve beside the reference's; None where they share too little.

    Attributes:
        bd_accuracy: mean difference of accuracy, over the logarithm of bytes, at the budgets that both have.
        bd_rate: mean difference in bytes at equal accuracy, in percent. bd_rate_psnr: the same at equal PSNR.
    """

    codec: str
    mode: str
    reference: str
    reference_mode: str
    classifier: str
    level: str
    bd_accuracy: float | None
    bd_rate: float | None
    bd_rate_psnr: float | None


def reaches(summary: Summary, target: float = TARGET) -> list[Reach]:
    """For every codec, mode, classifier and level. Without labels, agreement with the clean answer counts as accuracy."""
    labelled = bool(summary.draws.labelled.any())
    shares = summary.draws.of_labelled if labelled else summary.draws.of_all
    pixels = float(np.mean([width * height for _, width, height in summary.images()]))
    found = []
    for classifier in dict.fromkeys(point.classifier for point in summary.points):
        clean = _clean(summary, classifier)
        if clean is None:
            continue
        reference = _matrix(clean, summary, labelled)
        for codec, mode in _curves(summary, classifier):
            curve = summary.main_curve(codec, mode, classifier)
            if not curve:
                continue
            budgets = np.array([in_bytes(group.point, pixels) for group in curve])
            values = np.stack([_matrix(group, summary, labelled) for group in curve])
            for place, level in enumerate(LEVELS):
                whole = reference[:, place]
                goal = target * whole.mean()
                size = crossing(budgets, values[:, :, place].mean(axis=1), goal)
                drawn = shares @ values[:, :, place].T
                goals = target * (shares @ whole)
                low, high = bounds(
                    np.array(
                        [crossing(budgets, row, g) for row, g in zip(drawn, goals, strict=True)]
                    )
                )
                found.append(
                    Reach(codec, mode, classifier, level, float(whole.mean()), float(goal), _finite(size),
                          size == budgets[0], _finite(low), _finite(high))
                )  # fmt: skip
    return found


def crossing(budgets: Floats, accuracy: Floats, goal: float) -> float:
    """Bytes at which a curve first reaches a goal; infinite if it does not, the first budget if it begins there."""
    reached = np.flatnonzero(accuracy >= goal)
    if not len(reached):
        return float("inf")
    after = int(reached[0])
    if after == 0:
        return float(budgets[0])
    low, high = accuracy[after - 1], accuracy[after]
    part = (goal - low) / (high - low)
    return float(
        np.exp(np.log(budgets[after - 1]) + part * np.log(budgets[after] / budgets[after - 1]))
    )


def in_bytes(point: Point, pixels: float) -> float:
    """A point's budget; for a picture of so many pixels if it is one in bits per pixel."""
    return point.nominal if point.budget_bpp is None else point.budget_bpp * pixels / 8


def deltas(summary: Summary) -> list[Delta]:
    """Every curve beside our cuts; beside the first codec's best settings if ours took no part.

    Over budgets in bytes; over those in bits per pixel if there are no others.
    """
    labelled = bool(summary.draws.labelled.any())
    found = []
    for classifier in dict.fromkeys(point.classifier for point in summary.points):
        curves = _curves(summary, classifier)
        reference = (OURS, CUT) if (OURS, CUT) in curves else next(iter(curves), None)
        if reference is None:
            continue
        base = summary.main_curve(*reference, classifier)
        for codec, mode in curves:
            if (codec, mode) == reference:
                continue
            other = summary.main_curve(codec, mode, classifier)
            for place, level in enumerate(LEVELS):
                first, second = (_accuracies(curve, place, labelled) for curve in (base, other))
                found.append(
                    Delta(codec, mode, *reference, classifier, level, bd_accuracy(first, second),
                          _bd(first, second), _bd(_psnrs(base), _psnrs(other)))
                )  # fmt: skip
    return found


def bd_accuracy(reference: Curve, curve: Curve) -> float | None:
    """Mean of the difference, by the trapezoid rule over the logarithm of the budgets that both curves have."""
    common = sorted(set(dict(reference)) & set(dict(curve)))
    if len(common) < 2:
        return None
    gaps = np.array([dict(curve)[size] - dict(reference)[size] for size in common])
    places = np.log(common)
    return float(np.sum((gaps[1:] + gaps[:-1]) / 2 * np.diff(places)) / (places[-1] - places[0]))


def write_targets(folder: Path, found: Sequence[Reach], differences: Sequence[Delta]) -> None:
    """``bytes_to_target.csv`` and ``deltas.csv``."""
    for name, kind, rows in ((REACHES, Reach, found), (DELTAS, Delta, differences)):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(kind._fields)
            writer.writerows(
                ["" if v is None else f"{v:.6g}" if isinstance(v, float) else v for v in row]
                for row in rows
            )


def _curves(summary: Summary, classifier: str) -> list[tuple[str, str]]:
    own = [
        (p.codec, p.mode)
        for p in summary.points
        if p.classifier == classifier and p.mode in (BEST, CUT)
    ]
    return list(dict.fromkeys(own))


def _clean(summary: Summary, classifier: str) -> Group | None:
    own = [group for group in summary.groups if group.point.classifier == classifier]
    clean = [group for group in own if group.point.mode == CLEAN]
    whole = [
        g
        for g in own
        if (g.point.codec, g.point.mode, g.point.setting) == (OURS, LADDER, LEVELS[-1])
    ]
    return next(iter(clean + whole), None)


def _matrix(group: Group, summary: Summary, labelled: bool) -> Floats:
    """(pictures that count, levels) of 0 and 1."""
    rows = np.array([levels_of(row, labelled) for row in group.rows], float)
    return rows[summary.draws.labelled] if labelled else rows


def _accuracies(curve: Sequence[Group], place: int, labelled: bool) -> list[tuple[float, float]]:
    points = [group.point for group in curve]
    values = [
        (point.accuracy or point.agreement) if labelled else point.agreement for point in points
    ]
    return [
        (point.nominal, value[place].value) for point, value in zip(points, values, strict=True)
    ]


def _psnrs(curve: Sequence[Group]) -> list[tuple[float, float]]:
    """Bytes used and PSNR, where every picture decoded: a mean over those that happen to decode compares with nothing."""
    points = [group.point for group in curve if group.point.answered == 1]
    return [(p.bytes, p.psnr) for p in points if p.bytes is not None and p.psnr is not None]


def _bd(reference: Curve, curve: Curve) -> float | None:
    try:
        return bd_rate(reference, curve)
    except ValueError:
        return None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
