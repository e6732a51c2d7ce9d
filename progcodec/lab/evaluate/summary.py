"""What the rows say, codec by codec: means with confidence intervals, bytes to a target, Bjøntegaard deltas.

Two ways to use a codec at a byte budget:

- **cut**: the first bytes of one file, the rows of that mode.
- **best**: what a clever sender would do who knows the budget. Per picture and scale it takes the best setting whose file
  fits, which the sender can see. Which *scale* pays it can only know from experience, so one scale is chosen for all
  pictures: that of the highest mean accuracy over the set at this budget, coarse first, then intermediate, fine, PSNR;
  without labels agreement with the clean answer stands for accuracy. Never by a picture's own label. (Choosing on the set
  that is reported flatters the peers a little.) A picture of which no file fits has no answer.

No answer hits nothing, and has a Wu-Palmer similarity of 0. PSNR and MS-SSIM are means over the pictures that decoded.
Intervals are percentiles of a bootstrap over pictures, the same draws for every codec; they do not cover the choice of scale.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from progcodec.config import LEVELS
from progcodec.lab.evaluate.measurements import CLEAN, CUT, LADDER, Measurement
from progcodec.lab.evaluate.statistics import Draws, Interval

BEST = "best"
TARGET = 0.9
SUMMARY, REACHES, DELTAS = "summary.csv", "bytes_to_target.csv", "deltas.csv"


Budget: TypeAlias = tuple[int | None, float | None]
"""Bytes of a file, or bits per pixel."""

Place: TypeAlias = tuple[Any, ...]
"""Mode, setting and scale, and the budget of a cut file."""


class Point(NamedTuple):
    """One codec in one mode at one budget (or, in the modes "ladder" and "clean", at one setting), over all pictures.

    Attributes:
        setting, scale: of a ladder; for "best" the chosen scale.
        budget, budget_bpp: the latter where budgets were given in bits per pixel; bytes then differ between pictures.
        images, labelled: how many pictures, and how many with a class; accuracy and wup are over the latter.
        answered: share of pictures that gave a picture at all.
        bytes, bpp: means of what was used, over the pictures that decoded.
        accuracy, agreement: one for each level.
        encode_s, decode_s: medians.
    """

    codec: str
    weights: str
    mode: str
    classifier: str
    setting: str
    scale: float | None
    budget: int | None
    budget_bpp: float | None
    images: int
    labelled: int
    answered: float
    bytes: float | None
    bpp: float | None
    accuracy: tuple[Interval, ...] | None
    agreement: tuple[Interval, ...]
    wup: Interval | None
    psnr: float | None
    ms_ssim: float | None
    encode_s: float | None
    decode_s: float | None

    @property
    def nominal(self) -> float:
        """What budgets are ordered by."""
        return self.budget_bpp if self.budget_bpp is not None else float(self.budget or 0)


class Group(NamedTuple):
    """The rows behind a point, one for each picture in the order of all pictures; None where nothing fits."""

    point: Point
    rows: tuple[Measurement | None, ...]


class Summary(NamedTuple):
    groups: tuple[Group, ...]
    draws: Draws

    @property
    def points(self) -> list[Point]:
        return [group.point for group in self.groups]

    def curve(self, codec: str, mode: str, classifier: str, *, bpp: bool = False) -> list[Group]:
        """By rising budget; budgets in bytes, or those in bits per pixel."""
        found = [
            group for group in self.groups
            if (group.point.codec, group.point.mode, group.point.classifier) == (codec, mode, classifier)
            and (group.point.budget_bpp is not None) == bpp
        ]  # fmt: skip
        return sorted(found, key=lambda group: group.point.nominal)

    def main_curve(self, codec: str, mode: str, classifier: str) -> list[Group]:
        """Over budgets in bytes; over those in bits per pixel if there are no others."""
        return self.curve(codec, mode, classifier) or self.curve(codec, mode, classifier, bpp=True)

    def images(self) -> list[tuple[str, int, int]]:
        """Name, width and height of every picture."""
        seen = {
            (row.image, row.digest): row
            for group in self.groups
            for row in group.rows
            if row is not None
        }
        return [(row.image, row.width, row.height) for row in seen.values()]


def summarise(rows: Iterable[Measurement], seed: int = 0) -> Summary:
    """All points of a run's rows. Needs nothing but the rows."""
    rows = list(rows)
    images = list(dict.fromkeys((row.image, row.digest) for row in rows))
    truth = {(row.image, row.digest): row.label for row in rows}
    draws = Draws.of([truth[image] is not None for image in images], seed)
    groups: list[Group] = []
    series: dict[tuple[str, str, str], list[Measurement]] = {}
    for row in rows:
        series.setdefault((row.codec, row.weights, row.classifier), []).append(row)
    budgets = sorted({_budget(row) for row in rows if row.mode == CUT}, key=str)
    for own in series.values():
        tables: dict[Place, dict[tuple[str, str], Measurement]] = {}
        for row in own:
            tables.setdefault(_place(row), {})[row.image, row.digest] = row
        for place, table in tables.items():
            # of a ladder, only settings that fitted some budget with every picture
            if place[0] == LADDER and not (
                len(table) == len(images) and all(row.decoded for row in table.values())
            ):
                continue
            groups.append(_group([table.get(image) for image in images], draws))
        groups += _best(own, images, budgets, draws)
    return Summary(tuple(groups), draws)


def levels_of(row: Measurement | None, labelled: bool) -> tuple[bool, ...]:
    """Hits at the three levels, or agreements; none without an answer."""
    if row is None:
        return (False,) * len(LEVELS)
    hits = (row.hit_coarse, row.hit_intermediate, row.hit_fine)
    return (
        tuple(map(bool, hits))
        if labelled
        else (row.agree_coarse, row.agree_intermediate, row.agree_fine)
    )


def _place(row: Measurement) -> Place:
    """What rows of one point share."""
    return row.mode, row.setting, row.scale, *(_budget(row) if row.mode == CUT else ())


def _budget(row: Measurement) -> Budget:
    return (None, row.budget_bpp) if row.budget_bpp is not None else (row.budget, None)


def _best(
    own: list[Measurement], images: list[tuple[str, str]], budgets: list[Budget], draws: Draws
) -> list[Group]:
    """What a clever sender gets of a ladder of whole files, at each budget. None for a codec without settings."""
    ladder = [row for row in own if row.mode == LADDER and row.setting not in LEVELS]
    if not ladder:
        return []
    by_scale: dict[float, dict[tuple[str, str], list[Measurement]]] = {}
    for row in ladder:
        by_scale.setdefault(row.scale, {}).setdefault((row.image, row.digest), []).append(row)
    found = []
    for size, bpp in budgets:
        choices = []
        for scale, files in by_scale.items():
            rows = [_largest_fitting(files.get(image, ()), size, bpp) for image in images]
            choices.append((_merit(rows, draws), scale, rows))
        _, scale, rows = max(choices, key=lambda choice: (choice[0], choice[1]))
        found.append(_group(rows, draws, like=ladder[0], best=(scale, size, bpp)))
    return found


def _largest_fitting(
    files: Sequence[Measurement], size: int | None, bpp: float | None
) -> Measurement | None:
    """The file of the highest PSNR within the budget: the encoder sees that, and it needs no label."""

    def room(file: Measurement) -> int:
        if size is not None:
            return size
        assert bpp is not None, "a budget is in bytes or in bits per pixel"
        return int(bpp * file.width * file.height / 8)

    fitting = [file for file in files if file.decoded and file.bytes <= room(file)]
    return max(fitting, key=lambda row: (row.psnr or 0.0, row.bytes), default=None)


def _merit(rows: Sequence[Measurement | None], draws: Draws) -> tuple[float, ...]:
    labelled = bool(draws.labelled.any())
    counted = [
        levels_of(row, labelled)
        for row, known in zip(rows, draws.labelled, strict=True)
        if known or not labelled
    ]
    psnr = [row.psnr for row in rows if row is not None and row.psnr is not None]
    return *(float(share) for share in np.mean(counted, axis=0)), float(
        np.mean(psnr)
    ) if psnr else 0.0


def _group(
    rows: Sequence[Measurement | None],
    draws: Draws,
    like: Measurement | None = None,
    best: tuple[float, int | None, float | None] | None = None,
) -> Group:
    first = like or next(row for row in rows if row is not None)
    there = [row for row in rows if row is not None and row.decoded]
    hits = np.array([levels_of(row, True) for row in rows], float)[draws.labelled]
    agree = np.array([levels_of(row, False) for row in rows], float)
    near = np.array([0.0 if row is None else (row.wup or 0.0) for row in rows])[draws.labelled]
    has_wup = any(row.wup is not None for row in rows if row is not None)
    mode, setting, scale, size, bpp = first.mode, first.setting, first.scale, *_budget(first)
    if best is not None:
        mode, setting, (scale, size, bpp) = BEST, "", best
    point = Point(
        first.codec, first.weights, mode, first.classifier, setting, scale, size, bpp,
        len(rows), int(draws.labelled.sum()), len(there) / len(rows),
        _mean(row.bytes for row in there), _mean(8 * row.bytes / (row.width * row.height) for row in there),
        tuple(draws.interval(column, draws.of_labelled) for column in hits.T) if len(hits) else None,
        tuple(draws.interval(column, draws.of_all) for column in agree.T),
        draws.interval(near, draws.of_labelled) if len(hits) and has_wup else None,
        _mean(row.psnr for row in there), _mean(row.ms_ssim for row in there),
        _median(row.encode_s for row in there), _median(row.decode_s for row in there),
    )  # fmt: skip
    return Group(point, tuple(rows))


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def _median(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.median(found)) if found else None


def write_summary(folder: Path, summary: Summary) -> None:
    """``summary.csv``: a line for each point; intervals as three columns, NAME, NAME_low and NAME_high."""
    with (folder / SUMMARY).open("w", newline="", encoding="utf-8") as stream:
        lines = [flat(point) for point in summary.points]
        writer = csv.DictWriter(stream, list(lines[0]) if lines else [])
        writer.writeheader()
        writer.writerows(lines)


def flat(point: Point) -> dict[str, Any]:
    """A point as a line of CSV: each of its fields, an interval as three."""
    line: dict[str, Any] = {}
    for name, value in point._asdict().items():
        if name in ("accuracy", "agreement"):
            for level, interval in zip(LEVELS, value or (None,) * len(LEVELS), strict=True):
                line |= _interval(f"{name}_{level}", interval)
        elif name == "wup":
            line |= _interval(name, value)
        else:
            line[name] = _cell(value)
    return line


def _interval(name: str, interval: Interval | None) -> dict[str, Any]:
    values = interval or (None, None, None)
    return {
        f"{name}{end}": _cell(value)
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }


def _cell(value: Any) -> Any:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


__all__ = [
    "BEST",
    "CLEAN",
    "TARGET",
    "Group",
    "Point",
    "Summary",
    "flat",
    "levels_of",
    "summarise",
    "write_summary",
]
