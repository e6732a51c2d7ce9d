"""A summary in Markdown, short enough for a terminal."""

from collections.abc import Sequence

from progcodec.config import LEVELS
from progcodec.lab.evaluate.kodak import MARK, quoted
from progcodec.lab.evaluate.measurements import CLEAN, CUT
from progcodec.lab.evaluate.rivals.table import orderings
from progcodec.lab.evaluate.rivals.table import text as orderings_text
from progcodec.lab.evaluate.statistics import Interval
from progcodec.lab.evaluate.summary import BEST, TARGET, Point, Summary
from progcodec.lab.evaluate.tables import NOTHING, markdown
from progcodec.lab.evaluate.targets import Reach, in_bytes

MODES = {BEST: "best setting", CUT: "cut"}


def text(summary: Summary, reached: Sequence[Reach]) -> str:
    """All tables, classifier by classifier."""
    parts = []
    for classifier in dict.fromkeys(point.classifier for point in summary.points):
        parts.append(f"Judged by {classifier}:" + clean_line(summary, classifier))
        for bpp in (False, True):
            for place, level in enumerate(LEVELS):
                table = accuracy_table(summary, classifier, place, bpp)
                if table:
                    what = (
                        "accuracy"
                        if summary.draws.labelled.any()
                        else "agreement with the clean answer"
                    )
                    parts.append(
                        f"{level.capitalize()} {what} (%) within a budget of {'bits per pixel' if bpp else 'bytes'}:\n\n{table}"
                    )
            table = psnr_table(summary, classifier, bpp)
            if table:
                note = (
                    f"; {MARK} published for these pictures, not measured" if MARK in table else ""
                )
                parts.append(f"PSNR (dB), where every picture decodes{note}:\n\n{table}")
        if rivals := orderings(summary, classifier):
            parts.append(
                f"What each ordering of our latent gets at equal bytes:\n\n{orderings_text(rivals)}"
            )
        parts.append(
            f"Bytes to reach {100 * TARGET:.0f} % of the clean accuracy [95 % confidence]:\n\n{reach_table(reached, classifier)}"
        )
    return "\n\n".join(parts)


def clean_line(summary: Summary, classifier: str) -> str:
    clean = [
        p for p in summary.points if p.classifier == classifier and p.mode == CLEAN and p.accuracy
    ]
    if not clean:
        return ""
    values = ", ".join(
        f"{level} {_percent(interval)} %"
        for level, interval in zip(LEVELS, clean[0].accuracy or (), strict=True)
    )
    return f" clean accuracy over {clean[0].labelled} images: {values}."


def accuracy_table(summary: Summary, classifier: str, place: int, bpp: bool) -> str:
    """A line for each codec and mode, a column for each budget; empty where there are no such budgets."""
    curves = [
        (p.codec, p.mode) for p in summary.points if p.classifier == classifier and p.mode in MODES
    ]
    lines: list[list[str]] = []
    budgets: list[float] = []
    for codec, mode in dict.fromkeys(curves):
        points = {
            group.point.nominal: group.point
            for group in summary.curve(codec, mode, classifier, bpp=bpp)
        }
        budgets = budgets or list(points)
        lines.append(
            [
                f"{codec}, {MODES[mode]}",
                *(_accuracy(points.get(budget), place) for budget in budgets),
            ]
        )
    return markdown(["", *(f"{budget:g}" for budget in budgets)], lines) if budgets else ""


def psnr_table(summary: Summary, classifier: str, bpp: bool) -> str:
    """As :func:`accuracy_table`, of the mean PSNR where every picture decodes; published curves last, on Kodak's pictures."""
    lines: list[list[str]] = []
    budgets: list[Point] = []
    images = summary.images()
    curves = [
        (p.codec, p.mode) for p in summary.points if p.classifier == classifier and p.mode in MODES
    ]
    for codec, mode in dict.fromkeys(curves):
        points = {
            group.point.nominal: group.point
            for group in summary.curve(codec, mode, classifier, bpp=bpp)
        }
        budgets = budgets or list(points.values())
        found = [points.get(budget.nominal) for budget in budgets]
        values = [None if point is None or point.answered < 1 else point.psnr for point in found]
        lines.append([f"{codec}, {MODES[mode]}", *map(_decibels, values)])
    pixels = sum(width * height for _, width, height in images) / len(images)
    for curve in quoted(images, (point.codec for point in summary.points)):
        lines.append(
            [curve.shown, *(_decibels(curve.at(in_bytes(budget, pixels))) for budget in budgets)]
        )
    return markdown(["", *(f"{budget.nominal:g}" for budget in budgets)], lines) if budgets else ""


def reach_table(reached: Sequence[Reach], classifier: str) -> str:
    own = [reach for reach in reached if reach.classifier == classifier]
    lines = []
    for codec, mode in dict.fromkeys((reach.codec, reach.mode) for reach in own):
        found = {reach.level: reach for reach in own if (reach.codec, reach.mode) == (codec, mode)}
        lines.append([f"{codec}, {MODES[mode]}", *(_reach(found[level]) for level in LEVELS)])
    return markdown(["", *LEVELS], lines)


def _reach(reach: Reach) -> str:
    if reach.bytes is None:
        return "not reached"
    ends = ["more" if end is None else f"{end:,.0f}" for end in (reach.low, reach.high)]
    return f"{'≤ ' if reach.at_most else ''}{reach.bytes:,.0f} [{ends[0]}–{ends[1]}]"


def _accuracy(point: Point | None, place: int) -> str:
    if point is None:
        return NOTHING
    return _percent((point.accuracy or point.agreement)[place])


def _decibels(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:.1f}"
