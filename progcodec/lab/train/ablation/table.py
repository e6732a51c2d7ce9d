"""Differences of variants from what they are compared with: seed by seed, their mean, and whether
that is more than noise.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progcodec.config import LEVELS
from progcodec.lab.evaluate.metrics import bd_rate, rate_at
from progcodec.lab.evaluate.tables import markdown
from progcodec.lab.train.ablation.measure import Measured
from progcodec.lab.train.ablation.variants import Variant

COLUMNS = (
    "variant",
    "about",
    "compared with",
    "measure",
    "unit",
    "mean difference",
    "by seed",
    "noise",
    "within noise",
)
BD, END_RATE = (
    "rate at equal PSNR, over cuts",
    "rate at the end's PSNR, beside the cuts of what it is compared with",
)

READING = (
    "Each cell: the mean difference, and in brackets that of each seed. **Bold**: larger than "
    "noise, which is how far apart "
    "seeds lie (of the differences, or of the base itself, whichever is more). Real bytes of "
    "real files, header counted; files "
    "without checksums, which are 16 bytes more."
)


class Difference(NamedTuple):
    """One measure of one variant.

    Attributes:
        by_seed: the variant's value less that of what it is compared with, trained with the same
            seed.
        noise: how far apart seeds lie: the larger spread of ``by_seed``, and of what it is compared
            with; None: one seed.
    """

    variant: str
    measure: str
    unit: str
    by_seed: tuple[float, ...]
    noise: float | None

    @property
    def mean(self) -> float:
        return float(np.mean(self.by_seed))

    @property
    def within_noise(self) -> bool | None:
        """None: not known, from one seed."""
        return None if self.noise is None else abs(self.mean) <= self.noise


Results = Mapping[str, Sequence[Measured]]
"""What was measured, by variant: one for each seed, in the order of the seeds."""


def differences(
    results: Results, variants: Mapping[str, Variant], against: Mapping[str, str]
) -> list[Difference]:
    """``against``: what each variant is compared with, by name in ``results``; others are compared
    with nothing.
    """
    found = []
    for name in variants:
        if name not in results or name not in against:
            continue
        mine, other = results[name], results[against[name]]
        pairs = list(zip(mine, other, strict=True))
        if variants[name].from_weights or variants[name].config:
            by_seed = tuple(_bd(theirs, own) for own, theirs in pairs)
            found.append(_difference(name, BD, "%", by_seed, [_bd(other[0], one) for one in other]))
        else:  # an ordinary codec has one useful point, its end
            by_seed = tuple(_end_rate(theirs, own) for own, theirs in pairs)
            found.append(
                _difference(name, END_RATE, "%", by_seed, [_bd(other[0], one) for one in other])
            )
        for level, title in enumerate(LEVELS):
            for what, unit, column in (("bits", "bpp", 0), ("PSNR", "dB", 1)):
                values = [[one.ends[level][column] for one in each] for each in (mine, other)]
                found.append(_paired(name, f"{what} at the {title} end", unit, *values))
        for place in mine[0].accuracy:
            values = [[100 * one.accuracy[place] for one in each] for each in (mine, other)]
            found.append(_paired(name, f"accuracy, {place}", "points", *values))
    return found


def write_csv(
    path: Path,
    found: Sequence[Difference],
    variants: Mapping[str, Variant],
    against: Mapping[str, str],
) -> None:
    """One line a measure of a variant."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in found:
            noise = "" if row.noise is None else f"{row.noise:.4f}"
            within = {None: "not known", True: "yes", False: "no"}[row.within_noise]
            seeds = " ".join(f"{value:+.4f}" for value in row.by_seed)
            about, other = variants[row.variant].about, against[row.variant]
            writer.writerow(
                (
                    row.variant,
                    about,
                    other,
                    row.measure,
                    row.unit,
                    f"{row.mean:+.4f}",
                    seeds,
                    noise,
                    within,
                )
            )


def as_markdown(
    found: Sequence[Difference],
    results: Results,
    variants: Mapping[str, Variant],
    against: Mapping[str, str],
    budget: str,
) -> str:
    """What the bases reach, then a table for each kind of measure; ``budget``: in words, what each
    run was given.
    """
    parts = [f"Ablations at equal budget: {budget}.", READING]
    for base in dict.fromkeys(against.values()):
        ends = [
            [
                f"{_span([one.ends[k][i] for one in results[base]], digits)}"
                for i, digits in ((0, 4), (1, 2))
            ]
            for k in range(3)
        ]
        rows = [[level, *values] for level, values in zip(LEVELS, ends, strict=True)]
        parts += [
            f"What “{base}” itself reaches, each seed:",
            markdown(["level end", "bpp", "PSNR, dB"], rows),
        ]
        if accuracy := results[base][0].accuracy:
            rows = [
                [place, _span([100 * one.accuracy[place] for one in results[base]], 1)]
                for place in accuracy
            ]
            parts.append(markdown([f"accuracy of “{base}”", "%"], rows))
    cells = {(row.variant, row.measure): row for row in found}
    names = list(dict.fromkeys(row.variant for row in found))
    groups: dict[str, list[str]] = {
        "Rate at equal PSNR, and level ends": [],
        "Accuracy, percentage points": [],
    }
    for row in found:
        title = list(groups)[row.measure.startswith("accuracy")]
        if row.measure not in groups[title]:
            groups[title].append(row.measure)
    for title, measures in groups.items():
        if not measures:
            continue
        units = {row.measure: row.unit for row in found}
        head = [
            "variant",
            "compared with",
            *(f"{measure.removeprefix('accuracy, ')}, {units[measure]}" for measure in measures),
        ]
        rows = [
            [
                f"{name}: {variants[name].about}",
                against[name],
                *(_cell(cells.get((name, measure))) for measure in measures),
            ]
            for name in names
        ]
        parts += [f"{title}:", markdown(head, rows)]
    return "\n\n".join(parts) + "\n"


def _bd(reference: Measured, own: Measured) -> float:
    try:
        return bd_rate(reference.cuts, own.cuts)
    except ValueError:  # no PSNR in common
        return float("nan")


def _end_rate(reference: Measured, own: Measured) -> float:
    """Per cent: the bits of a whole file beside those that the reference's cuts need for the same
    PSNR; NaN outside of these.
    """
    rate, value = own.ends[-1]
    return 100 * (rate / rate_at(reference.cuts, value) - 1)


def _paired(
    name: str, measure: str, unit: str, mine: Sequence[float], other: Sequence[float]
) -> Difference:
    return _difference(
        name, measure, unit, tuple(a - b for a, b in zip(mine, other, strict=True)), other
    )


def _difference(
    name: str, measure: str, unit: str, by_seed: tuple[float, ...], other: Sequence[float]
) -> Difference:
    noise = max(float(np.ptp(by_seed)), float(np.ptp(other))) if len(by_seed) > 1 else None
    return Difference(name, measure, unit, by_seed, noise)


def _cell(row: Difference | None) -> str:
    if row is None:
        return "–"
    digits = {"bpp": 4, "dB": 2}.get(row.unit, 1)
    mean = f"{row.mean:+.{digits}f}"
    seeds = ", ".join(f"{value:+.{digits}f}" for value in row.by_seed)
    return f"{f'**{mean}**' if row.within_noise is False else mean} ({seeds})"


def _span(values: Sequence[float], digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)
