"""The figures: drawn once with matplotlib, written as PNG and SVG, and as SVG into the page.

A budget axis is logarithmic, with the measured budgets themselves as ticks. Lines end in their names, moved apart where
they would meet. Bands are bootstrap intervals, for ours only: eight bands over each other show nothing; the tables have all.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from progcodec.config import LEVELS
from progcodec.errors import ProgcodecError
from progcodec.lab.evaluate.kodak import MARK, Quoted
from progcodec.lab.evaluate.report.spread import spread
from progcodec.lab.evaluate.report.study import (
    BEST,
    CUT,
    Interval,
    Point,
    Series,
    Study,
    level_title,
)
from progcodec.lab.evaluate.report.style import FAINT, INK, PAPER, Look

SIZE = (4.7, 3.5)
"""Inches of one panel: at a phone's width its text is still some 9 px high."""

LINE_POINTS, LEADER_POINTS = 11.5, 14.0
"""Of a name at a line's end: what it takes in height, and how far it stands from the axes."""

RIVALS, PUBLISHED = "rivals", "published"
"""Part of the names of the figures that show the rivals; the kind of curves that are quoted."""


class Plot(NamedTuple):
    name: str
    """Of its files, without suffix."""
    title: str
    svg: str
    """For a page: no XML head, ids of its own, a text alternative."""


TOP, TOP_TITLED = 0.97, 0.89
"""Upper edge of the axes, as a share of the figure, without and with a title of two lines."""
TITLE_WIDTH = 52
"""Characters of a title's line that fit beside the names at the lines' ends."""

Value = Callable[[Point], Interval | float | None]


def draw_all(study: Study, looks: Mapping[str, Look], folder: Path, suffix: str = "") -> list[Plot]:
    """Every figure of a study, written to ``folder`` as NAME.png and NAME.svg. Raises ProgcodecError without matplotlib."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: list[Plot | None] = []
    for mode, words, shown in _groups(study):
        quoted = [published(curve, study.budgets) for curve in study.quoted] if mode == BEST else []
        for level in LEVELS:
            clean = study.clean.get(level)
            plots.append(
                lines(folder, f"accuracy-{level}-{mode}{suffix}", f"{level_title(level)}, {words}", shown, looks,
                       _accuracy(level), "accuracy (%)", 100, clean, study.target)
            )  # fmt: skip
        plots.append(
            lines(folder, f"wup-{mode}{suffix}", f"Wu-Palmer similarity, {words}", shown, looks, lambda point: point.wup,
                   "similarity to the true class", 1, study.clean_wup)
        )  # fmt: skip
        plots.append(
            lines(
                folder,
                f"psnr-{mode}{suffix}",
                f"PSNR, {words}",
                [*shown, *quoted],
                looks,
                _psnr,
                "PSNR (dB)",
                1,
            )
        )
    plots += _times(folder, f"time{suffix}", study, looks)
    return [plot for plot in plots if plot is not None]


def _groups(study: Study) -> Iterator[tuple[str, str, list[Series]]]:
    """(part of the files' names, words, what is drawn together)"""
    for mode, words in ((BEST, "best setting within the budget"), (CUT, "cut at the budget")):
        if mode == BEST or study.of("peer", CUT):
            yield mode, words, study.shown(mode)
    if study.of("rival"):
        yield RIVALS, "schemes over one latent", [*study.of("ours", CUT), *study.of("rival")]


def published(curve: Quoted, budgets: Sequence[int]) -> Series:
    """The part of a published curve that lies between the least and the largest budget."""
    inside = {size for size, _ in curve.points if budgets[0] < size < budgets[-1]} | {
        budgets[0],
        budgets[-1],
    }
    found = [(size, curve.at(size)) for size in sorted(inside)]
    return Series(
        curve.shown,
        BEST,
        PUBLISHED,
        tuple(Point(round(size), size, "", 1.0, {}, None, value) for size, value in found if value),
    )


def _accuracy(level: str) -> Value:
    return lambda point: point.accuracy.get(level)


def _psnr(point: Point) -> float | None:
    """A mean over the images that happened to decode says nothing beside one over all: it is left out."""
    return point.psnr if point.decoded == 1 else None


def lines(
    folder: Path,
    name: str,
    title: str,
    shown: Sequence[Series],
    looks: Mapping[str, Look],
    value: Value,
    label: str,
    scale: float,
    clean: float | None = None,
    target: float | None = None,
) -> Plot | None:
    """One figure: a line for each of ``shown`` over the budgets, of what ``value`` takes from its points; None without any."""
    curves = [(one, _curve(one, value, scale)) for one in shown]
    curves = [(one, curve) for one, curve in curves if curve]
    if not curves:
        return None
    with _figure(name) as (figure, axes):
        ends = []
        # ours last, so that it lies on top
        for one, curve in sorted(curves, key=lambda pair: pair[0].kind == "ours"):
            look, own = looks[one.name.removesuffix(MARK)], one.kind == "ours"
            dash, marker = ("--", "") if one.kind == PUBLISHED else (look.dash, look.marker)
            budgets, middle, low, high = zip(*curve, strict=True)
            if own and low != middle:
                axes.fill_between(budgets, low, high, color=look.light, alpha=0.16, lw=0)
            axes.plot(
                budgets, middle, dash, marker=marker, color=look.light, lw=2.6 if own else 1.3,
                ms=5.5 if own else 4, mec=PAPER, mew=0.5, zorder=4 if own else 3, clip_on=False,
            )  # fmt: skip
            ends.append((budgets[-1], middle[-1], one.name, look.light, own))
        # margins by hand: panels side by side align, and no layout engine draws everything twice
        figure.subplots_adjust(
            left=0.125,
            right=1 - _width(one.name for one, _ in curves) - 0.06,
            bottom=0.135,
            top=TOP,
        )
        _bytes_axis(
            axes,
            sorted(
                {budget for one, curve in curves if one.kind != PUBLISHED for budget, *_ in curve}
            ),
        )
        _limits(
            axes,
            [m for _, curve in curves for _, m, *_ in curve],
            None if clean is None else clean * scale,
            scale,
        )
        if clean is not None:
            _rule(axes, clean * scale, "uncompressed")
            if target is not None:
                _rule(axes, clean * target * scale, f"{100 * target:.0f} % of it")
        axes.set_ylabel(label)
        end_labels(axes, ends)
        if any(one.kind == PUBLISHED for one, _ in curves):
            figure.text(0.99, 0.02, f"{MARK} published, not measured", ha="right", fontsize=8)
        return _write(figure, folder, name, title, _spoken(title, curves))


def _curve(one: Series, value: Value, scale: float) -> list[tuple[int, float, float, float]]:
    """(budget, value, low, high), where there is a value."""
    rows = []
    for point in one.points:
        found = value(point)
        if found is not None:
            low_high = found if isinstance(found, Interval) else Interval(found, found, found)
            rows.append(
                (point.budget, scale * low_high[0], scale * low_high[1], scale * low_high[2])
            )
    return rows


def _bytes_axis(axes: Any, budgets: list[int]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(budgets[0] * 0.93, budgets[-1] * 1.04)
    # every measured budget that has room; the last one always
    ticks = [budgets[-1]]
    for budget in reversed(budgets[:-1]):
        if ticks[-1] / budget > (budgets[-1] / budgets[0]) ** 0.15:
            ticks.append(budget)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value / 1000:g}k" if value >= 10000 else f"{value:,.0f}"
    )
    axes.set_xlabel("bytes of the file")


def _limits(axes: Any, values: list[float], clean: float | None, scale: float) -> None:
    low, high = min(values), max([*values, *([] if clean is None else [clean])])
    room = 0.06 * (high - low or abs(high) or 1)
    # shares start at zero unless that squeezes everything into the top
    bottom = 0 if clean is not None and low < 0.6 * high else low - room
    axes.set_ylim(bottom, min(high + room, scale * 1.02) if clean is not None else high + room)


def _rule(axes: Any, height: float, text: str) -> None:
    axes.axhline(height, color=INK, lw=0.7, ls=(0, (1, 2)), zorder=1)
    axes.annotate(
        text,
        (0, height),
        xycoords=("axes fraction", "data"),
        xytext=(2, 2),
        textcoords="offset points",
        fontsize=8,
    )


def end_labels(axes: Any, ends: Sequence[tuple[float, float, str, str, bool]]) -> None:
    """Names right of the axes, as near to the lines' last points as a line of text each allows, tied to them by a hair line.

    Args:
        ends: of each line the last place and value, the name, the colour, and whether it is ours.
    """
    low, high = axes.get_ylim()
    box = axes.get_position()
    # the files' drawing is the lower one, for its title
    gap = LINE_POINTS / (72 * SIZE[1] * (box.height - TOP + TOP_TITLED)) * (high - low)
    right = 1 + LEADER_POINTS / (72 * SIZE[0] * box.width)
    heights = spread(
        [value for _, value, *_ in ends], gap, low, high - gap / 2
    )  # not into the title
    for (budget, value, name, colour, own), height in zip(ends, heights, strict=True):
        axes.annotate(
            name, (budget, value), xytext=(right, height), textcoords=("axes fraction", "data"), va="center", fontsize=9,
            color=colour, weight="bold" if own else "normal", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)},
        )  # fmt: skip


def _width(names: Iterable[str]) -> float:
    """Share of the figure that the longest name takes: 5.6 points a letter, bold letters included."""
    return 5.6 * max(map(len, names)) / (72 * SIZE[0]) + 0.02


def _times(folder: Path, name: str, study: Study, looks: Mapping[str, Look]) -> list[Plot]:
    """Encoding and decoding time of each codec as two dots on one logarithmic line, slowest decoder at the bottom."""
    found: dict[str, tuple[Series, float, float]] = {}
    for one in study.series:
        if one.kind != "rival" and one.encode_s and one.decode_s:
            found.setdefault(one.name, (one, 1000 * one.encode_s, 1000 * one.decode_s))
    if not found:
        return []
    order = sorted(found.values(), key=lambda timed: timed[2], reverse=True)
    with _figure(name) as (figure, axes):
        from matplotlib.ticker import LogLocator, NullFormatter

        for height, (one, encode, decode) in enumerate(order):
            look = looks[one.name]
            axes.plot([encode, decode], [height, height], "-", color=look.light, lw=1.2, zorder=2)
            axes.plot(encode, height, "o", color=PAPER, mec=look.light, mew=1.6, ms=7, zorder=3)
            axes.plot(
                decode, height, "o", color=look.light, mec=look.light, mew=1.6, ms=7, zorder=3
            )
        figure.subplots_adjust(
            left=_width(one.name for one, _, _ in order) + 0.02, right=0.97, bottom=0.135, top=TOP
        )
        axes.set_yticks(range(len(order)), [one.name for one, _, _ in order])
        for text, (one, _, _) in zip(axes.get_yticklabels(), order, strict=True):
            text.set_weight("bold" if one.kind == "ours" else "normal")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.grid(False, axis="y")
        axes.set_xlabel("milliseconds an image: ○ encode, ● decode")
        spoken = "; ".join(
            f"{one.name} {encode:.1f} and {decode:.1f} ms"
            for one, encode, decode in reversed(order)
        )
        title = "Time to encode and to decode one image"
        return [_write(figure, folder, name, title, f"{title}: {spoken}.")]


@contextmanager
def _figure(salt: str) -> Iterator[tuple[Any, Any]]:
    try:
        import matplotlib

        matplotlib.use("Agg")  # no display is needed, and none is looked for
        from matplotlib import pyplot
    except ImportError as error:
        raise ProgcodecError(
            f"plots need an extra: pip install 'progcodec[evaluate]' ({error})"
        ) from None
    settings = {
        "svg.hashsalt": salt, "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 9.5, "text.color": INK,
        "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.linewidth": 0.7,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "grid.color": FAINT, "grid.linewidth": 0.7, "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER,
    }  # fmt: skip
    with pyplot.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=SIZE)
        try:
            yield figure, axes
        finally:
            pyplot.close(figure)


def _write(figure: Any, folder: Path, name: str, title: str, spoken: str) -> Plot:
    """The page's drawing has no title of its own: its caption has it. The files have."""
    page = io.StringIO()
    figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    figure.axes[0].set_title(textwrap.fill(title, TITLE_WIDTH), loc="left", fontsize=9.5)
    figure.subplots_adjust(top=TOP_TITLED)
    figure.savefig(folder / f"{name}.png", dpi=160, metadata={"Software": None})
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return Plot(name, title, _for_page(page.getvalue(), name, spoken))


def _for_page(svg: str, name: str, spoken: str) -> str:
    """The ``<svg>`` element alone: ids made the page's own, sized by its style sheet, with its text alternative."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href", "href").replace("'DejaVu Sans'", "system-ui, sans-serif")
    svg = re.sub(r"\n\s*", "\n", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(spoken)}"', 1)


def _spoken(
    title: str, curves: Sequence[tuple[Series, list[tuple[int, float, float, float]]]]
) -> str:
    """The drawing in words: where each line starts and ends."""
    parts = [
        f"{one.name} from {c[0][1]:.3g} at {c[0][0]:,} bytes to {c[-1][1]:.3g} at {c[-1][0]:,}"
        for one, c in curves
    ]
    return f"{title}: {'; '.join(parts)}."
