"""The paper's own figures, as far as the data at hand allow: its Fig. 4 and Fig. 5, for our codec alone.

Fig. 4   accuracy at each level against rate, judged by the classifier that took part in training
Fig. 5   Wu-Palmer similarity against rate, judged by classifiers that did not
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from progcodec.config import LEVELS
from progcodec.lab.evaluate.measurements import OURS, Measurement
from progcodec.lab.evaluate.report import plots
from progcodec.lab.evaluate.report.markup import Cell, count, decimal, percent, table
from progcodec.lab.evaluate.report.plots import Plot
from progcodec.lab.evaluate.report.study import CUT, Point, Series, Study
from progcodec.lab.evaluate.report.style import Look

TRAINED_WITH = re.compile(r"class term of ([^,?#]+)")
"""What a checkpoint's metadata say of the classifiers in its objective."""
PREFIX = "paper"


def teachers(rows: Sequence[Measurement]) -> frozenset[str] | None:
    """Classifiers that our weights were trained with, without options; None where these are not in the package, so not known."""
    from progcodec.assets import find
    from progcodec.errors import CheckpointError, WrongModelError
    from progcodec.network.checkpoint import Checkpoint

    marks = {row.weights for row in rows if row.codec == OURS}
    try:
        metadata = [
            Checkpoint.load(find(fingerprint=bytes.fromhex(mark[:8]))).metadata for mark in marks
        ]
    except (CheckpointError, WrongModelError, ValueError):
        return None
    return (
        frozenset(
            name
            for each in metadata
            for text in each.values()
            for name in TRAINED_WITH.findall(text)
        )
        if marks
        else None
    )


def used_in_training(study: Study, known: frozenset[str] | None) -> bool:
    return known is not None and study.classifier.partition("#")[0].partition("?")[0] in known


def chosen(
    studies: Sequence[Study], known: frozenset[str] | None
) -> tuple[Study | None, list[Study]]:
    """The study of Fig. 4, which is the first one where nothing is known, and those of Fig. 5."""
    able = [study for study in studies if study.of("ours", CUT)]
    fourth = next((study for study in able if used_in_training(study, known)), None)
    if fourth is None and known is None and able:
        fourth = able[0]
    return fourth, [
        study
        for study in able
        if study is not fourth
        and not used_in_training(study, known)
        and study.clean_wup is not None
    ]


def names(studies: Sequence[Study]) -> list[str]:
    """Of the lines that are drawn, for their looks."""
    return [*LEVELS, *(study.classifier for study in studies)]


def draw(
    studies: Sequence[Study], known: frozenset[str] | None, looks: Mapping[str, Look], folder: Path
) -> list[Plot]:
    """Both figures, written to ``folder`` as PNG and SVG; fewer where there is nothing to draw."""
    folder.mkdir(parents=True, exist_ok=True)
    fourth, fifth = chosen(studies, known)
    found: list[Plot | None] = []
    if fourth is not None:
        points = {level: [p for p in _cuts(fourth) if level in p.accuracy] for level in LEVELS}
        lines = [
            Series(
                level,
                CUT,
                "level",
                tuple(replace(p, accuracy={"it": p.accuracy[level]}) for p in points[level]),
            )
            for level in LEVELS
        ]
        title = f"Accuracy at each level, judged by {fourth.classifier.partition('#')[0]}"
        found.append(
            plots.lines(
                folder,
                f"{PREFIX}-4",
                title,
                lines,
                looks,
                lambda point: point.accuracy.get("it"),
                "accuracy (%)",
                100,
            )
        )
    lines = [Series(study.classifier, CUT, "judge", _cuts(study)) for study in fifth]
    title = "Wu-Palmer similarity, judged by classifiers that took no part in training"
    found.append(
        plots.lines(
            folder,
            f"{PREFIX}-5",
            title,
            lines,
            looks,
            lambda point: point.wup,
            "similarity to the true class",
            1,
        )
    )
    return [plot for plot in found if plot is not None]


def section(studies: Sequence[Study], known: frozenset[str] | None, figures: str) -> str:
    """The section's HTML; empty where ours was not measured. ``figures``: those of :func:`draw`, as HTML."""
    fourth, fifth = chosen(studies, known)
    if fourth is None and not fifth:
        return ""
    return (
        f"<p>{escape(_differences(studies[0], known))}</p>{figures}"
        + _fourth(fourth)
        + _fifth(fifth)
    )


def _differences(study: Study, known: frozenset[str] | None) -> str:
    part = (
        "whether a classifier took part in training these weights is not recorded, so the first one stands in Fig. 4, the others in Fig. 5"
        if known is None
        else f"trained with {', '.join(sorted(known))}"
        if known
        else "no classifier took part in training these weights, so there is no Fig. 4"
    )
    return (
        "The source paper (arXiv 2605.08266) trains on 80,000 ImageNet pictures and estimates rates from its model's probabilities, "
        "with every level whole. Here the bytes are those of real files with their headers, cut at budgets and at level ends, over "
        f"{study.images:,} pictures; {part}. So the shape of the curves can be compared, not their values."
    )


def _fourth(study: Study | None) -> str:
    if study is None:
        return ""
    rows = [
        (name, [Cell(count(p.bytes)), *(_share(p, level) for level in LEVELS)], False)
        for name, p in _places(study)
    ]
    clean = [Cell(percent(study.clean.get(level))) for level in LEVELS]
    rows.append(("uncompressed" if study.sees_clean else "whole files", [Cell("–"), *clean], False))
    return table(
        f"As the paper's Fig. 4: accuracy against rate, judged by {study.classifier}",
        ["", "bytes", *LEVELS],
        rows,
    )


def _fifth(studies: Sequence[Study]) -> str:
    if not studies:
        return '<p class="soft">As the paper’s Fig. 5: no other classifier judged. Name one more with --classifier.</p>'
    by_judge = [dict(_places(study)) for study in studies]
    places = list(dict.fromkeys(name for each in by_judge for name in each))
    rows = []
    for name in places:
        points = [each.get(name) for each in by_judge]
        sizes = [point.bytes for point in points if point is not None]
        rows.append((name, [Cell(count(sizes[0])), *(_wup(point) for point in points)], False))
    rows.append(
        (
            "uncompressed",
            [Cell("–"), *(Cell(decimal(study.clean_wup, 3)) for study in studies)],
            False,
        )
    )
    caption = "As the paper's Fig. 5: Wu-Palmer similarity against rate, judged by classifiers that took no part in training"
    return table(caption, ["", "bytes", *(study.classifier for study in studies)], rows)


def _cuts(study: Study) -> tuple[Point, ...]:
    return study.of("ours", CUT)[0].points


def _places(study: Study) -> list[tuple[str, Point]]:
    """Cuts and level ends, by rising bytes, with their names."""
    found = [(f"cut at {point.budget:,}", point) for point in _cuts(study)]
    found += [(f"{level} end", point) for level, point in zip(LEVELS, study.ends, strict=False)]
    return sorted(found, key=lambda pair: pair[1].bytes or 0)


def _share(point: Point, level: str) -> Cell:
    interval = point.accuracy.get(level)
    return (
        Cell("–")
        if interval is None
        else Cell(percent(interval.value), f"{100 * interval.low:.1f}–{100 * interval.high:.1f}")
    )


def _wup(point: Point | None) -> Cell:
    if point is None or point.wup is None:
        return Cell("–")
    return Cell(decimal(point.wup.value, 3), f"{point.wup.low:.3f}–{point.wup.high:.3f}")
