"""What the rows say: accuracy and PSNR against bytes, with confidence.

Two ways to use a codec at a byte budget:

- **cut**: the first bytes of one file.
- **best**: what a sender would do who knows the budget. Per picture and scale it takes the file of
  the highest PSNR that fits, which it can see, and of these over all scales the highest again.
  Which *scale* pays for a classifier it can only know from experience, so there one scale is chosen
  for all pictures: that of the highest mean accuracy over the set at this budget, coarse first.
  Never by a picture's own label. (Choosing on the set that is reported flatters the peers a
  little.)

A picture of which no file fits, or no cut decodes, has no answer, and no answer is wrong. Pictures
with labels are counted by these; if none has one, by agreement with the answer on the clean
picture. Intervals are percentiles of a bootstrap over pictures, the same draws for every codec;
they do not cover the choice of scale.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.config import LEVELS
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.metrics import bd_rate
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import CLEAN, Budget, Entry, Plan, best_file
from progcodec.lab.evaluate.rows import Row

CUT, BEST = "cut", "best file"
TARGET = 0.9
RESAMPLES, CONFIDENCE = 1000, 0.95


class Interval(NamedTuple):
    """A value, and the range that holds it with 95 % confidence. Infinite: not reached."""

    value: float
    low: float
    high: float


def shares(count: int, seed: int) -> Floats:
    """How often each picture stands in each resampled set, over its size, (sets, pictures)."""
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return draws / count


def bounds(resampled: Floats) -> tuple[float, float]:
    """The 2.5 % and 97.5 % percentiles. Infinities are values like others."""
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    # not interpolated: between a number and infinity there is nothing
    low, high = np.quantile(resampled, ends, method="nearest")
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Curve:
    """One codec in one mode, as one judge sees it, over the budgets.

    Attributes:
        sizes: mean bytes of the budgets.
        rows: for each budget one for each picture; None where nothing fits or decodes.
        accuracy: at each budget, of each level. clean: of the clean pictures, at each level. Empty
            without a judge.
        reach: bytes at which it first has the target share of clean accuracy, at each level;
            infinite if at no budget.
    """

    codec: str
    mode: str
    sizes: tuple[float, ...]
    rows: tuple[tuple[Row | None, ...], ...]
    accuracy: tuple[tuple[Interval, ...], ...] = ()
    clean: tuple[float, ...] = ()
    reach: tuple[Interval, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.codec}, {self.mode}"

    def psnr(self) -> list[float]:
        """Means at each budget; NaN unless every picture decodes, so that all are comparable."""
        return self._means(lambda row: row.psnr or 0.0)

    def bytes(self) -> list[float]:
        return self._means(lambda row: row.bytes)

    def more(self, other: "Curve") -> float | None:
        """Mean difference in bytes at equal coarse accuracy, in percent; None if none is shared."""
        first, second = (
            [(size, at[0].value) for size, at in zip(one.sizes, one.accuracy, strict=True)]
            for one in (other, self)
        )
        try:
            return bd_rate(first, second)
        except ValueError:
            return None

    def _means(self, value: Callable[[Row], float]) -> list[float]:
        return [float(np.mean([value(row) if row else np.nan for row in own])) for own in self.rows]


class Study:
    """The rows as one judge sees them; or, with the judge "", as PSNR does.

    Attributes:
        pictures: all. counted: those of them that count for accuracy.
        labelled: whether answers are held against labels.
        curves: in the plan's order, of each codec the cuts first.
    """

    def __init__(
        self,
        plan: Plan,
        pictures: Sequence[Picture],
        rows: Iterable[Row],
        judge: str = "",
        hierarchy: Hierarchy | None = None,
        seed: int = 0,
    ) -> None:
        self.pictures, self.budgets, self.judge = pictures, plan.budgets, judge
        self._sizes = tuple(float(np.mean([b.of(p.size) for p in pictures])) for b in self.budgets)
        self._rows: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            if row.judge == judge:
                self._rows.setdefault((row.codec, row.digest), []).append(row)
        self.labelled = any(picture.label is not None for picture in pictures)
        counted = [
            (n, p) for n, p in enumerate(pictures) if p.label is not None or not self.labelled
        ]
        self._places, self.counted = [n for n, _ in counted], [p for _, p in counted]
        if judge:
            clean = self._select(CLEAN)
            self._truth = _answers(clean, self._places)
            if self.labelled and hierarchy is not None:
                classes = [picture.label or 0 for picture in self.counted]
                self._truth = np.array([(*hierarchy.ancestors(n), n) for n in classes])
            self._clean = self._right(clean)
            self._shares = shares(len(self.counted), seed)
        self.curves = [c for entry in plan.entries for c in self._curves(entry, plan.scales)]

    def at_setting(self, codec: str, setting: str) -> Curve:
        """Our files where they end, as a curve of one point."""
        return self._curve(codec, setting, [self._select(codec, setting=setting)])

    def _reach(self, right: Floats, clean: Floats) -> Interval:
        """Of one level: (budgets, pictures) and (pictures,) of 0 and 1."""
        drawn = zip(self._shares @ right.T, TARGET * (self._shares @ clean), strict=True)
        found = np.array([crossing(self._sizes, row, goal) for row, goal in drawn])
        goal = TARGET * float(clean.mean())
        return Interval(crossing(self._sizes, right.mean(axis=1), goal), *bounds(found))

    def _curves(self, entry: Entry, scales: Sequence[float]) -> list[Curve]:
        found = []
        cuts = [self._select(entry.name, budget=str(budget)) for budget in self.budgets]
        if any(row for own in cuts for row in own):
            found.append(self._curve(entry.name, CUT, cuts))
        if entry.kind == "peer" and self.budgets:
            best = [self._best(entry.name, budget, scales) for budget in self.budgets]
            if any(row for own in best for row in own):
                found.append(self._curve(entry.name, BEST, best))
        return found

    def _best(self, codec: str, budget: Budget, scales: Sequence[float]) -> list[Row | None]:
        by_scale = [
            [
                best_file(self._files(codec, picture, scale), budget.of(picture.size))
                for picture in self.pictures
            ]
            for scale in scales
        ]
        if not self.judge:
            choices = zip(*by_scale, strict=True)
            return [max(own, key=lambda row: (row.psnr or 0.0) if row else -1.0) for own in choices]

        def merit(rows: list[Row | None]) -> tuple[float, ...]:
            psnr = [row.psnr or 0.0 for row in rows if row]
            return *self._right(rows).mean(axis=0), float(np.mean(psnr)) if psnr else 0.0

        return max(by_scale, key=merit)

    def _files(self, codec: str, picture: Picture, scale: float) -> list[Row]:
        own = self._rows.get((codec, picture.digest), [])
        return [row for row in own if row.scale == scale and not row.budget]

    def _select(self, codec: str, setting: str = "", budget: str = "") -> list[Row | None]:
        """For each picture its row of that setting or budget, if it decoded."""
        own = (self._rows.get((codec, picture.digest), []) for picture in self.pictures)
        fits = (
            (row for row in rows if (row.setting, row.budget) == (setting, budget) and row.decoded)
            for rows in own
        )
        return [next(rows, None) for rows in fits]

    def _curve(self, codec: str, mode: str, rows: Sequence[Sequence[Row | None]]) -> Curve:
        curve = Curve(codec, mode, self._sizes, tuple(map(tuple, rows)))
        if not self.judge:
            return curve
        right = np.array([self._right(own) for own in rows])
        accuracy = [
            tuple(Interval(float(c.mean()), *bounds(self._shares @ c)) for c in own.T)
            for own in right
        ]
        reach: tuple[Interval, ...] = ()
        if len(rows) == len(self._sizes):
            levels = range(len(LEVELS))
            reach = tuple(self._reach(right[:, :, k], self._clean[:, k]) for k in levels)
        return replace(
            curve, accuracy=tuple(accuracy), clean=tuple(self._clean.mean(axis=0)), reach=reach
        )

    def _right(self, rows: Sequence[Row | None]) -> Floats:
        """(pictures that count, levels): 1 where the answer is right."""
        right: Floats = (_answers(rows, self._places) == self._truth).astype(float)
        return right


def _answers(rows: Sequence[Row | None], places: Sequence[int]) -> Ints:
    """(places, levels); -1 where there is no answer."""
    none = (-1,) * len(LEVELS)
    return np.array([row.answer if (row := rows[n]) else none for n in places], np.int64)


def crossing(sizes: Sequence[float], accuracy: Floats, goal: float) -> float:
    """Bytes at which a curve first reaches a goal, between two budgets by the logarithm of bytes;
    infinite if it does not.

    The first budget if the curve begins there. What is never right when clean is never reached.
    """
    reached = np.flatnonzero(accuracy >= goal)
    if goal <= 0 or not len(reached):
        return float("inf")
    after = int(reached[0])
    if after == 0:
        return float(sizes[0])
    low, high = accuracy[after - 1], accuracy[after]
    part = float((goal - low) / (high - low))
    return float(sizes[after - 1] * (sizes[after] / sizes[after - 1]) ** part)
