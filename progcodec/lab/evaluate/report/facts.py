"""What was measured, in words: taken from the rows alone, so that it is as true on another machine."""

from collections.abc import Sequence

from progcodec.lab.evaluate.measurements import CLEAN, CUT, OURS, Measurement
from progcodec.lab.evaluate.report.study import Facts

LICENCE = (
    "The classifier, the labels and the weights may carry terms of their own. Weights that come with progcodec, and pictures "
    "that derive from ImageNet, are for research, non-commercial use; so are figures made of such pictures."
)


def facts(rows: Sequence[Measurement]) -> Facts:
    """Of rows that belong together, as ``measurements.csv`` holds them."""
    images = {row.digest: row for row in rows}
    sizes = sorted({(row.width, row.height) for row in images.values()})
    labelled = sum(row.label is not None for row in images.values())
    classes = len({row.label for row in images.values()} - {None})
    codecs = {row.codec: row.weights for row in rows if row.codec != CLEAN}
    checkpoint = [codecs[OURS]] if OURS in codecs else []
    lines = [
        (
            "Images",
            f"{len(images):,}, {_sizes(sizes)}; {labelled:,} with a label, of {classes:,} classes",
        ),
        ("Judged by", ", ".join(dict.fromkeys(row.classifier for row in rows))),
        (
            "Levels",
            f"accuracy of the free argmax at each level of the hierarchy {', '.join(sorted({row.hierarchy for row in rows}))}",
        ),
        *(("Our weights", f"checkpoint {mark}") for mark in checkpoint),
        ("Bytes", "of the real file, with its header; ours with its checksums, cut anywhere"),
        (
            "Budgets",
            ", ".join(
                f"{size:,}"
                for size in sorted({row.budget for row in rows if row.budget is not None})
            ),
        ),
        (
            "Cuts",
            "one file of each codec, cut at the budget; what a tolerant decoder cannot show counts as no answer",
        )
        if any(row.mode == CUT and row.codec != OURS for row in rows)
        else ("Cuts", "ours alone"),
        ("Codecs", "; ".join(f"{name} ({mark})" for name, mark in codecs.items())),
    ]
    return Facts(lines, LICENCE)


def _sizes(sizes: list[tuple[int, int]]) -> str:
    if len(sizes) == 1:
        return f"{sizes[0][0]} × {sizes[0][1]} pixels"
    pixels = sorted(width * height for width, height in sizes)
    return f"{pixels[0]:,} to {pixels[-1]:,} pixels"
