"""The pictures of a report: curves as PNG, and contact sheets."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from progcodec.config import LEVELS
from progcodec.files import whole_file
from progcodec.lab.evaluate.curves import Curves, points
from progcodec.lab.evaluate.plan import OURS
from progcodec.lab.evaluate.statistics import CUT, Study
from progcodec.lab.extras import extra

COLOURS = ("#4e79a7", "#59a14f", "#b07aa1", "#9c755f", "#f28e2b", "#76b7b2", "#edc948", "#8c8c8c")
OUR_COLOUR = "#c8102e"
CAPTION = 16
"""Height of a tile's caption on a contact sheet, in pixels."""


def rate_distortion(path: Path, curves: Curves, title: str) -> None:
    """Ours: cuts as a line, level ends as markers on it. Measured codecs are whole lines, published
    ones dashed.

    The rate is drawn in logarithms: the coarse prefix is some twenty times shorter than the file.
    """

    def draw(axes: Any) -> None:
        labels = dict.fromkeys([*curves.peers, *curves.quoted])
        colours = dict(zip(labels, COLOURS * 2, strict=False))
        for source, style, own in (
            ("published", "--", curves.quoted),
            ("measured", "-", curves.peers),
        ):
            for name, curve in own.items():
                axes.plot(*zip(*curve, strict=True), style, lw=1.2, color=colours[name],
                          label=f"{name} ({source})")  # fmt: skip
        cuts, ends = points(curves.cuts), points(curves.ends)
        axes.plot(*zip(*cuts, strict=True), lw=2.2, color=OUR_COLOUR, label=f"{OURS}, any cut")
        axes.plot(*zip(*ends, strict=True), "o", ms=7, mec="white", color=OUR_COLOUR,
                  label=f"{OURS}, level ends")  # fmt: skip
        rates, values = zip(*cuts, *ends, strict=True)
        axes.set_xlim(0.8 * min(rates), 1.8 * max(rates))
        axes.set_ylim(min(values) - 1.5, max(values) + 4)

    _plot(path, [draw], [title], "bits per pixel", "PSNR, RGB (dB)")


def qualities(path: Path, curves: Curves, title: str) -> None:
    """Cuts at each quality as lines, level ends as markers on them; quality 0 is drawn thick."""

    def draw(axes: Any) -> None:
        found = curves.by_quality()
        for place, (quality, (ends, cuts)) in enumerate(found.items()):
            colour = OUR_COLOUR if not quality else _shade(place / max(len(found) - 1, 1))
            axes.plot(*zip(*points(cuts), strict=True), lw=1.2 if quality else 2.4, color=colour,
                      label=f"quality {quality:+d}" if quality else "quality 0")  # fmt: skip
            axes.plot(*zip(*points(ends), strict=True), "o", ms=5, mec="white", color=colour)

    _plot(path, [draw], [title], "bits per pixel", "PSNR, RGB (dB)")


def psnr(path: Path, study: Study, title: str) -> None:
    """PSNR within each budget."""
    _plot(path, [_by_budget(study, lambda curve: curve.psnr())], [title], "bytes", "PSNR, RGB (dB)")


def accuracy(path: Path, study: Study) -> None:
    """A panel for each level."""

    def panel(level: int) -> Callable[[Any], None]:
        return _by_budget(study, lambda curve: [at[level].value for at in curve.accuracy])

    titles = [f"{level}, by {study.judge}" for level in LEVELS]
    _plot(path, list(map(panel, range(len(LEVELS)))), titles, "bytes", "accuracy")


def contact_sheet(path: Path, rows: Sequence[Sequence[tuple[str, Image.Image]]]) -> None:
    """Captioned pictures in rows; every picture is drawn as large as the first one."""
    width, height = rows[0][0][1].size
    columns = max(map(len, rows))
    sheet = Image.new("RGB", (columns * (width + 2), len(rows) * (height + CAPTION)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for down, row in enumerate(rows):
        for right, (caption, picture) in enumerate(row):
            place = right * (width + 2), down * (height + CAPTION)
            pen.text(place, caption, "black", font)
            if picture.size != (width, height):
                picture = picture.resize((width, height), Image.Resampling.BICUBIC)
            sheet.paste(picture, (place[0], place[1] + CAPTION))
    sheet.save(path, optimize=True)


def _by_budget(study: Study, values: Callable[[Any], Sequence[float]]) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        colours = iter(COLOURS * 3)
        for curve in study.curves:
            ours = (curve.codec, curve.mode) == (OURS, CUT)
            style = (
                {"lw": 2.4, "color": OUR_COLOUR} if ours else {"lw": 1.2, "color": next(colours)}
            )
            line = "-o" if curve.mode != CUT or ours else "--s"
            axes.plot(curve.sizes, values(curve), line, ms=3, label=curve.title, **style)

    return draw


def _shade(part: float) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * part)


def _plot(
    path: Path, panels: Sequence[Callable[[Any], None]], titles: Sequence[str], x: str, y: str
) -> None:
    """Panels over a logarithmic axis. Raises ProgcodecError without matplotlib."""
    with extra("evaluate", "a plot"):
        from matplotlib import ticker
        from matplotlib.figure import Figure
    figure = Figure(figsize=(7.5 if len(panels) == 1 else 5 * len(panels), 5.2), layout="tight")
    for axes, draw, title in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, titles, strict=True
    ):
        draw(axes)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set(xlabel=x, ylabel=y)
        axes.set_title(title, fontsize=10)
        axes.grid(True, which="both", lw=0.3, alpha=0.6)
        axes.legend(fontsize=7.5)
    with whole_file(path) as file:
        figure.savefig(file, dpi=150, format="png", metadata={"Software": None})
