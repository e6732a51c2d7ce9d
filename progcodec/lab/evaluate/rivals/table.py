"""What each ordering gets at equal bytes: ours and the rivals over the same latent, as CSV and as Markdown."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from progcodec.config import LEVELS
from progcodec.lab.evaluate.measurements import CUT, OURS
from progcodec.lab.evaluate.rivals import RIVALS
from progcodec.lab.evaluate.summary import Point, Summary, flat
from progcodec.lab.evaluate.tables import NOTHING, markdown

ORDERINGS_CSV, ORDERINGS_MD = "rivals.csv", "rivals.md"
TITLES = {
    "plonq": "σ order without blocks (PLONQ)",
    "plonq-plain": "σ order without blocks or channel weights",
    "progdtd": "channel tail-drop (ProgDTD)",
    "efficientpic": "σ quantiles (EfficientPIC)",
    "tritplanes": "trit-planes (DPICT, CTC)",
    "weighted": "ours, channels weighted by gain",
    "raster": "ours in raster order",
    "zero-masking": "ours, zero where nothing arrived",
}
COLUMNS = 6
"""Of more budgets than this only some stand in the Markdown: each at least twice the one before."""


def is_rival(codec: str) -> bool:
    """Whether a codec's name in the rows is that of a scheme over our latent."""
    return codec in RIVALS and codec != OURS or codec.startswith(f"{OURS},")


def orderings(summary: Summary, classifier: str) -> list[Point]:
    """Ours, then the rivals in the order of the rows; each by rising budget, bytes before bits per pixel."""
    own = [
        group.point
        for group in summary.groups
        if group.point.classifier == classifier and group.point.mode == CUT
    ]
    names = dict.fromkeys(point.codec for point in own if is_rival(point.codec))
    if not names:
        return []
    order = {name: place for place, name in enumerate((OURS, *names))}
    chosen = [point for point in own if point.codec in order]
    return sorted(
        chosen, key=lambda point: (order[point.codec], point.budget_bpp is not None, point.nominal)
    )


def write_orderings(folder: Path, summary: Summary) -> None:
    """``rivals.csv`` and ``rivals.md``; nothing if no rival was measured."""
    found = {
        name: orderings(summary, name)
        for name in dict.fromkeys(point.classifier for point in summary.points)
    }
    found = {name: points for name, points in found.items() if points}
    if not found:
        return
    lines = [
        {"scheme": title(point.codec)} | flat(point)
        for points in found.values()
        for point in points
    ]
    with (folder / ORDERINGS_CSV).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    parts = [
        f"Judged by {name}, {points[0].images} images:\n\n{text(points)}"
        for name, points in found.items()
    ]
    (folder / ORDERINGS_MD).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def text(points: Sequence[Point]) -> str:
    """For each unit of budgets: PSNR and coarse accuracy in one table, the accuracy at the finer levels in another."""
    parts = []
    for bpp in (False, True):
        own = [point for point in points if (point.budget_bpp is not None) == bpp]
        budgets = shown_budgets({point.nominal for point in own})
        if budgets:
            unit = "bits per pixel" if bpp else "bytes"
            first, *others = (_accuracy(place, own) for place in range(len(LEVELS)))
            parts += [_table(own, budgets, unit, columns) for columns in ([_PSNR, first], others)]
    return "\n\n".join(parts)


def shown_budgets(budgets: Iterable[float]) -> list[float]:
    """All of a few; of many the first, and then each that is at least twice the one before."""
    rising = sorted(budgets)
    if len(rising) <= COLUMNS:
        return rising
    kept = rising[:1]
    for budget in rising[1:]:
        if budget >= 2 * kept[-1]:
            kept.append(budget)
    return kept


def title(codec: str) -> str:
    return TITLES.get(codec, codec)


_Column = tuple[str, Callable[[Point], float | None], str]
"""A heading, a value, and how it is written."""
_PSNR: _Column = ("PSNR (dB)", lambda point: point.psnr, ".1f")


def _accuracy(place: int, points: Sequence[Point]) -> _Column:
    known = all(point.accuracy is not None for point in points)
    what = "accuracy" if known else "agreement with the clean answer"
    return (
        f"{LEVELS[place]} {what} (%)",
        lambda point: 100 * ((point.accuracy if known else None) or point.agreement)[place].value,
        ".0f",
    )


def _table(
    points: Sequence[Point], budgets: Sequence[float], unit: str, columns: Sequence[_Column]
) -> str:
    """A line for each ordering. In bold what is best of its column, if one alone is as it is written."""
    head, names = [""], list(dict.fromkeys(point.codec for point in points))
    lines = {name: [title(name)] for name in names}
    at = {(point.codec, point.nominal): point for point in points}
    for heading, value, form in columns:
        for place, budget in enumerate(budgets):
            start = f"{heading} at " if place == 0 else ""
            head.append(f"{start}{budget:,g}{f' {unit}' if place == len(budgets) - 1 else ''}")
            values = {
                name: value(at[name, budget]) if (name, budget) in at else None for name in names
            }
            cells = {
                name: NOTHING if found is None else f"{found:{form}}"
                for name, found in values.items()
            }
            best = f"{max((found for found in values.values() if found is not None), default=0):{form}}"
            alone = list(cells.values()).count(best) == 1
            for name, cell in cells.items():
                lines[name].append(f"**{cell}**" if alone and cell == best else cell)
    return markdown(head, list(lines.values()))
