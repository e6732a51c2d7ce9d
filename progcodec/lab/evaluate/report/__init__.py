"""Plots and one self-contained HTML page of what was measured.

measurements.csv ─ reading ─► studies ─┬─ verdict ─► who wins, in words ─┐
                                       ├─ tables ────────────────────────┼─ page ─► report.html
                                       └─ plots ─► plots/*.png, *.svg ───┤
images, codecs, a classifier ─ senders ─► pictures at equal bytes ───────┘
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from progcodec.errors import EvaluationError
from progcodec.files import write_whole

if TYPE_CHECKING:
    from progcodec.lab.evaluate.report.pictures import Comparison

REPORT, PLOTS = "report.html", "plots"


def write_report(directory: Path, pictures: "Sequence[Comparison] | None" = None) -> Path:
    """Writes ``report.html`` and ``plots/*.png`` and ``*.svg`` beside the folder's ``measurements.csv``.

    The page needs no other file, no network and no script. The same rows and pictures give the same bytes.

    Args:
        pictures: what :func:`progcodec.lab.evaluate.report.pictures.compare` made; the page does without if there are none.
    Returns:
        The page's path.
    Raises:
        EvaluationError: no measurements there. ProgcodecError: matplotlib is missing.
    """
    from progcodec.lab.evaluate.measurements import MEASUREMENTS, OURS, read
    from progcodec.lab.evaluate.report import paper
    from progcodec.lab.evaluate.report.facts import facts
    from progcodec.lab.evaluate.report.page import page
    from progcodec.lab.evaluate.report.plots import draw_all
    from progcodec.lab.evaluate.report.reading import studies
    from progcodec.lab.evaluate.report.style import looks

    path = directory / MEASUREMENTS
    rows = list(read(path)) if path.is_file() else []
    found = [study for study in studies(rows) if study.series] if rows else []
    if not found:
        raise EvaluationError(f"{path}: no measurements to report")
    names: list[str] = []
    for study in found:
        names += [*(one.name for one in study.series), *(one.name for one in study.quoted)]
    table = looks([*names, *paper.names(found)], [OURS])
    plots = {
        study.classifier: draw_all(
            study, table, directory / PLOTS, f"-judge{number}" if number > 1 else ""
        )
        for number, study in enumerate(found, 1)
    }
    known = paper.teachers(rows)
    plots[paper.PREFIX] = paper.draw(found, known, table, directory / PLOTS)
    target = directory / REPORT
    html = page(found, facts(rows), plots, table, pictures or (), known)
    write_whole(target, html.encode())
    return target
