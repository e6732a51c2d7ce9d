"""What people read: ``report.md``, its plots and ``points.csv``, beside the rows."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from progcodec.config import LEVELS
from progcodec.files import write_whole
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate import plots, tables
from progcodec.lab.evaluate.curves import Curves
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import Plan
from progcodec.lab.evaluate.rows import Row
from progcodec.lab.evaluate.statistics import Study

REPORT, POINTS = "report.md", "points.csv"


def write_report(
    plan: Plan, pictures: Sequence[Picture], rows: Sequence[Row], hierarchy: Hierarchy | None,
    folder: Path, seed: int = 0,
) -> str:  # fmt: skip
    """Writes the report and returns it."""
    described = f"{len(pictures)} pictures, {_sizes(pictures)}"
    taking_part = ", ".join(f"{entry.name} ({entry.version})" for entry in plan.entries)
    parts = [f"{described}; {taking_part}. Real files, header and checksums counted."]
    if plan.curves:
        curves = Curves(plan, pictures, rows)
        parts.append(curves.text())
        if curves.ends:
            title = f"{described}: mean bits per pixel and mean PSNR"
            plots.rate_distortion(folder / "curves.png", curves, title)
        if len(curves.by_quality()) > 1:
            plots.qualities(folder / "quality.png", curves, f"{described}, at each quality")
    studies = []
    if plan.budgets:
        studies = [
            Study(plan, pictures, rows, name, hierarchy, seed)
            for name in ("", *(judge.name for judge in plan.judges))
        ]
        parts += _by_budget(plan, studies, folder, described)
        _write_points(folder, studies)
    text = "\n\n".join(parts) + "\n"
    write_whole(folder / REPORT, text.encode())
    return text


def _by_budget(plan: Plan, studies: Sequence[Study], folder: Path, title: str) -> list[str]:
    plain, *judged = studies
    note = (
        "PSNR; in brackets, on how many pictures ours is behind"
        if tables.our_cuts(plain)
        else "PSNR"
    )
    parts = [f"Within a budget: {note}.", tables.by_budget(plain)]
    plots.psnr(folder / "psnr.png", plain, title)
    pairs = list(zip(plan.judges, judged, strict=True))
    common = [study for judge, study in pairs if judge.only is None]
    for number, study in enumerate(common, 1):
        parts.append(tables.judged(study))
        plots.accuracy(folder / f"accuracy-{number}.png", study)
    if adapted := [study for judge, study in pairs if judge.only is not None]:
        builtin = [study for judge, study in pairs if judge.is_builtin]
        parts.append(tables.adapted(builtin[0] if builtin else None, adapted))
    return parts


def _write_points(folder: Path, studies: Iterable[Study]) -> None:
    """A line for each curve and budget; an interval as three columns."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    ends = [f"{level}{end}" for level in LEVELS for end in ("", "_low", "_high")]
    writer.writerow(["judge", "codec", "mode", "budget", "bytes", "psnr", *ends])
    for study in studies:
        for curve in study.curves:
            accuracy = curve.accuracy or [()] * len(study.budgets)
            lines = zip(study.budgets, curve.bytes(), curve.psnr(), accuracy, strict=True)
            for budget, size, psnr, at in lines:
                shares = [f"{value:.6g}" for interval in at for value in interval]
                head = study.judge, curve.codec, curve.mode, str(budget)
                writer.writerow([*head, f"{size:.1f}", f"{psnr:.4f}", *shares])
    write_whole(folder / POINTS, text.getvalue().encode())


def _sizes(pictures: Sequence[Picture]) -> str:
    sizes = sorted({picture.pixels.shape[1::-1] for picture in pictures})
    if len(sizes) == 1:
        return f"{sizes[0][0]} × {sizes[0][1]}"
    pixels = sorted(picture.size for picture in pictures)
    return f"{pixels[0]:,} to {pixels[-1]:,} pixels"
