"""The pictures of all curves: ours beside other codecs, and ours at every quality."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from progcodec.errors import ProgcodecError
from progcodec.lab.evaluate.metrics import Curve

COLOURS = ("#4e79a7", "#59a14f", "#b07aa1", "#9c755f", "#f28e2b", "#76b7b2", "#edc948", "#8c8c8c")
OURS = "#c8102e"


def plot(
    folder: Path,
    ends: Curve,
    cuts: Curve,
    measured: Mapping[str, Curve],
    published: Mapping[str, Curve],
    title: str,
) -> list[Path]:
    """Write ``curves.png`` and ``curves.svg`` and return their paths.

    Ours: cuts as a line, level ends as markers on it. Measured codecs are whole lines, published ones dashed; a codec
    that is both keeps its colour. The rate is drawn in logarithms: the coarse prefix is some twenty times shorter
    than the file.
    """
    pyplot, ticker = _pyplot()
    # a fixed salt and no date: the same points give the same file
    with pyplot.rc_context({"svg.hashsalt": "progcodec", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(7.5, 5.2))
        colours = dict(zip(dict.fromkeys([*measured, *published]), COLOURS * 2, strict=False))
        for name, curve in published.items():
            axes.plot(
                *zip(*curve, strict=True),
                "--",
                lw=1,
                color=colours[name],
                label=f"{name} (published)",
            )
        for name, curve in measured.items():
            axes.plot(
                *zip(*curve, strict=True),
                "-",
                lw=1.3,
                color=colours[name],
                label=f"{name} (measured)",
            )
        axes.plot(*zip(*cuts, strict=True), "-", lw=2.2, color=OURS, label="progcodec, any cut")
        axes.plot(
            *zip(*ends, strict=True),
            "o",
            ms=7,
            mec="white",
            color=OURS,
            label="progcodec, level ends",
        )

        rates, values = zip(*cuts, *ends, strict=True)
        axes.set_xlim(0.8 * min(rates), 1.8 * max(rates))
        axes.set_ylim(min(values) - 1.5, max(values) + 4)
        _rate_axis(axes, ticker, title)
        axes.legend(fontsize=7.5, loc="upper left")
        return _written(figure, pyplot, folder, "curves")


def plot_qualities(
    folder: Path, curves: Mapping[int, tuple[Curve, Curve]], title: str
) -> list[Path]:
    """Write ``quality.png`` and ``quality.svg`` and return their paths.

    Args:
        curves: level ends and cuts at each quality. Cuts are lines, level ends markers on them; quality 0 is drawn thick.
    """
    pyplot, ticker = _pyplot()
    with pyplot.rc_context({"svg.hashsalt": "progcodec", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(7.5, 5.2))
        shades = pyplot.get_cmap("viridis")
        low, high = min(curves), max(curves)
        for quality, (ends, cuts) in curves.items():
            colour = OURS if quality == 0 else shades(0.9 * (quality - low) / max(high - low, 1))
            label = f"quality {quality:+d}" if quality else "quality 0"
            axes.plot(
                *zip(*cuts, strict=True),
                "-",
                lw=2.4 if quality == 0 else 1.2,
                color=colour,
                label=label,
            )
            axes.plot(*zip(*ends, strict=True), "o", ms=5, mec="white", color=colour)
        _rate_axis(axes, ticker, title)
        axes.legend(fontsize=7.5, loc="upper left", title="cuts; level ends as dots")
        return _written(figure, pyplot, folder, "quality")


def _rate_axis(axes: Any, ticker: Any, title: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel("PSNR, RGB (dB)")
    axes.set_title(title, fontsize=10)
    axes.grid(True, which="both", lw=0.3, alpha=0.6)


def _written(figure: Any, pyplot: Any, folder: Path, name: str) -> list[Path]:
    """The paths of the figure's PNG and SVG; it is closed."""
    figure.tight_layout()
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], dpi=150)
    figure.savefig(paths[1], metadata={"Date": None})
    pyplot.close(figure)
    return paths


def _pyplot() -> tuple[Any, Any]:
    """matplotlib's pyplot and ticker. Raises ProgcodecError where it is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")  # no display is needed, and none is looked for
        from matplotlib import pyplot, ticker
    except ImportError as error:
        raise ProgcodecError(
            f"plots need an extra: pip install 'progcodec[evaluate]' ({error})"
        ) from None
    return pyplot, ticker
