"""Growth of time and memory with the picture, on logarithmic axes."""

from pathlib import Path

from progcodec.errors import EvaluationError
from progcodec.lab.bench.pace.growth import Grown

ENCODE, DECODE, MEMORY = "#c8102e", "#4e79a7", "#59a14f"


def growth_plot(folder: Path, rows: list[Grown]) -> list[Path]:
    """Writes ``growth.png`` and ``growth.svg``. Raises EvaluationError without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise EvaluationError(
            f"plots need an extra: pip install 'progcodec[evaluate]' ({error})"
        ) from None
    megapixels = [row.pixels / 1e6 for row in rows]
    with pyplot.rc_context({"svg.hashsalt": "progcodec", "font.size": 9}):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3.6))
        left.plot(megapixels, [row.encode_s for row in rows], "o-", color=ENCODE, label="encode")
        left.plot(megapixels, [row.decode_s for row in rows], "s-", color=DECODE, label="decode")
        left.plot(
            megapixels,
            [rows[-1].encode_s * m / megapixels[-1] for m in megapixels],
            ":",
            color="#888888",
            label="in proportion",
        )
        left.set_ylabel("seconds")
        left.legend()
        right.plot(megapixels, [row.peak - row.base for row in rows], "o-", color=MEMORY)
        right.set_ylabel("MiB beyond the model and the picture")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("megapixels")
            axes.grid(True, which="both", lw=0.3, alpha=0.6)
        figure.tight_layout()
        paths = [folder / "growth.png", folder / "growth.svg"]
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
        pyplot.close(figure)
    return paths
