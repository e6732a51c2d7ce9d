"""Differences of variants from what they are compared with: seed by seed, their mean, and whether
that is more than noise.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from progcodec.config import LEVELS
from progcodec.lab.evaluate.metrics import bd_rate, rate_at
from progcodec.lab.evaluate.tables import NOTHING, markdown
from progcodec.lab.train.ablation.measure import Measured
from progcodec.lab.train.ablation.variants import Variant

BD = "rate at equal PSNR, over cuts"
END_RATE = "rate at the end's PSNR, beside the cuts of what it is compared with"

READING = (
    "Each cell: the mean difference, and in brackets that of each seed. **Bold**: larger than "
    "noise, which is how far apart seeds lie (of the differences, or of the base itself, whichever "
    "is more). Real bytes of real files, header counted; files without checksums, which are 16 "
    "bytes more."
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
        # an ordinary codec has one useful point, its end
        embedded = variants[name].from_weights or variants[name].config
        title, compare = (BD, _bd) if embedded else (END_RATE, _end_rate)
        by_seed = tuple(compare(theirs, own) for own, theirs in pairs)
        found.append(_difference(name, title, "%", by_seed, [_bd(other[0], one) for one in other]))
        for level, title in enumerate(LEVELS):
            for what, unit, column in (("bits", "bpp", 0), ("PSNR", "dB", 1)):
                values = [[one.ends[level][column] for one in each] for each in (mine, other)]
                found.append(_paired(name, f"{what} at the {title} end", unit, *values))
        for place in mine[0].accuracy:
            values = [[100 * one.accuracy[place] for one in each] for each in (mine, other)]
            found.append(_paired(name, f"accuracy, {place}", "points", *values))
    return found


def as_csv(
    found: Sequence[Difference], variants: Mapping[str, Variant], against: Mapping[str, str]
) -> str:
    """One line a measure of a variant."""
    rows = [
        {
            "variant": row.variant,
            "about": variants[row.variant].about,
            "compared with": against[row.variant],
            "measure": row.measure,
            "unit": row.unit,
            "mean difference": f"{row.mean:+.4f}",
            "by seed": " ".join(f"{value:+.4f}" for value in row.by_seed),
            "noise": "" if row.noise is None else f"{row.noise:.4f}",
            "within noise": {None: "not known", True: "yes", False: "no"}[row.within_noise],
        }
        for row in found
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["variant"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


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
        own = results[base]
        ends = [zip(*(one.ends[k] for one in own), strict=True) for k in range(len(LEVELS))]
        rows = [
            [level, _span(rates, 4), _span(values, 2)]
            for level, (rates, values) in zip(LEVELS, ends, strict=True)
        ]
        table = markdown(["level end", "bpp", "PSNR, dB"], rows)
        parts += [f"What “{base}” itself reaches, each seed:", table]
        if places := own[0].accuracy:
            rows = [[p, _span([100 * one.accuracy[p] for one in own], 1)] for p in places]
            parts.append(markdown([f"accuracy of “{base}”", "%"], rows))
    cells = {(row.variant, row.measure): row for row in found}
    units = {row.measure: row.unit for row in found}
    titles = {"Rate at equal PSNR, and level ends": False, "Accuracy, percentage points": True}
    for title, told in titles.items():
        measures = [measure for measure in units if measure.startswith("accuracy") is told]
        if not measures:
            continue
        heads = [f"{one.removeprefix('accuracy, ')}, {units[one]}" for one in measures]
        rows = [
            [
                f"{name}: {variants[name].about}",
                against[name],
                *(_cell(cells.get((name, measure))) for measure in measures),
            ]
            for name in dict.fromkeys(row.variant for row in found)
        ]
        parts += [f"{title}:", markdown(["variant", "compared with", *heads], rows)]
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
    by_seed = tuple(a - b for a, b in zip(mine, other, strict=True))
    return _difference(name, measure, unit, by_seed, other)


def _difference(
    name: str, measure: str, unit: str, by_seed: tuple[float, ...], other: Sequence[float]
) -> Difference:
    noise = max(float(np.ptp(by_seed)), float(np.ptp(other))) if len(by_seed) > 1 else None
    return Difference(name, measure, unit, by_seed, noise)


def _cell(row: Difference | None) -> str:
    if row is None:
        return NOTHING
    digits = {"bpp": 4, "dB": 2}.get(row.unit, 1)
    mean = f"{row.mean:+.{digits}f}"
    seeds = ", ".join(f"{value:+.{digits}f}" for value in row.by_seed)
    return f"{f'**{mean}**' if row.within_noise is False else mean} ({seeds})"


def _span(values: Sequence[float], digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)
