"""What a study says, in Markdown."""

import math
from collections.abc import Sequence

from progcodec.config import LEVELS
from progcodec.lab.evaluate.plan import OURS
from progcodec.lab.evaluate.rows import Row
from progcodec.lab.evaluate.statistics import CUT, TARGET, Curve, Interval, Study

NOTHING = "–"
"""Stands where there is no number."""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, form: str, unit: str = "") -> str:
    """A dash for what is None or no finite number; + 0 turns -0.0 into 0.0."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{round(value, 9) + 0:{form}}{unit}"


def by_budget(study: Study) -> str:
    """Mean PSNR within each budget, and on how many pictures ours is behind the codec."""
    ours = our_cuts(study)
    lines = []
    for curve in study.curves:
        cells = [number(value, ".2f") for value in curve.psnr()]
        if ours is not None and curve is not ours:
            behind = [sum(map(_behind, *pair)) for pair in zip(ours.rows, curve.rows, strict=True)]
            counted = zip(cells, behind, strict=True)
            cells = [cell if cell == NOTHING and not n else f"{cell} ({n})" for cell, n in counted]
        lines.append([curve.title, *cells])
    return markdown(["PSNR (dB) within bytes", *_heads(study)], lines)


def judged(study: Study) -> str:
    """Accuracy within each budget at each level, bytes to the target, our level ends."""
    what = "accuracy" if study.labelled else "agreement with the clean answer"
    title = f"Judged by {study.judge}: {what} over {len(study.counted)} pictures."
    parts = [title, accuracy(study, study.curves), reach(study.curves, our_cuts(study))]
    if ends := level_ends(study):
        parts.append(ends)
    return "\n\n".join(parts)


def adapted(ours: Study | None, peers: Sequence[Study]) -> str:
    """Each codec judged by the network adapted to its pictures: ours by the built-in one."""
    own = our_cuts(ours) if ours else None
    curves = [*([own] if own else []), *(curve for study in peers for curve in study.curves)]
    title = "Each codec judged by a network adapted to its own pictures, ours by the built-in one:"
    return "\n\n".join([title, accuracy(peers[0], curves), reach(curves, own)])


def accuracy(study: Study, curves: Sequence[Curve]) -> str:
    parts = []
    for place, level in enumerate(LEVELS):
        lines = [
            [curve.title, number(100 * curve.clean[place], ".1f"),
             *(f"{100 * at[place].value:.1f}" for at in curve.accuracy)]
            for curve in curves
        ]  # fmt: skip
        parts.append(markdown([f"{level} (%) within bytes", "clean", *_heads(study)], lines))
    return "\n\n".join(parts)


def reach(curves: Sequence[Curve], ours: Curve | None) -> str:
    """Bytes to the target: "–" where no budget reaches it, "more" for an interval's end there."""
    head = [f"bytes to {100 * TARGET:.0f} % of clean [95 % confidence]", *LEVELS,
            "bytes at equal coarse accuracy"]  # fmt: skip
    lines = []
    for curve in curves:
        more = None if ours is None or curve is ours else curve.more(ours)
        lines.append([curve.title, *map(_reach, curve.reach), number(more, "+.0f", " %")])
    return markdown(head, lines)


def level_ends(study: Study) -> str:
    """Our files at the ends of their levels; empty where they take no part."""
    lines = []
    for level in LEVELS:
        curve = study.at_setting(OURS, level)
        if not any(curve.rows[0]):
            return ""
        (size,), (psnr,), (found,) = curve.bytes(), curve.psnr(), curve.accuracy
        shares = [f"{100 * share.value:.1f}" for share in found]
        lines.append([level, number(size, ",.0f"), *shares, number(psnr, ".2f")])
    head = ["level end", "bytes", *(f"{level} (%)" for level in LEVELS), "PSNR (dB)"]
    return markdown(head, lines)


def our_cuts(study: Study) -> Curve | None:
    return next((c for c in study.curves if (c.codec, c.mode) == (OURS, CUT)), None)


def _heads(study: Study) -> list[str]:
    return [budget.shown for budget in study.budgets]


def _behind(ours: Row | None, theirs: Row | None) -> bool:
    return theirs is not None and (ours is None or (theirs.psnr or 0.0) > (ours.psnr or 0.0))


def _reach(found: Interval) -> str:
    if not math.isfinite(found.value):
        return NOTHING
    low, high = (f"{end:,.0f}" if math.isfinite(end) else "more" for end in found[1:])
    return f"{found.value:,.0f} [{low}–{high}]"
