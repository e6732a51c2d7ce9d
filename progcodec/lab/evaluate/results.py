"""From rows to the files beside them: ``summary.csv``, ``bytes_to_target.csv``, ``deltas.csv``; ``rivals.csv``, ``rivals.md``."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from progcodec.lab.evaluate.measurements import Measurement
from progcodec.lab.evaluate.rivals.table import write_orderings
from progcodec.lab.evaluate.summary import Summary, summarise, write_summary
from progcodec.lab.evaluate.targets import Reach, deltas, reaches, write_targets


class Results(NamedTuple):
    summary: Summary
    reached: list[Reach]


def conclude(rows: Sequence[Measurement], folder: Path, seed: int = 0) -> Results:
    summary = summarise(rows, seed)
    reached = reaches(summary)
    write_summary(folder, summary)
    write_targets(folder, reached, deltas(summary))
    write_orderings(folder, summary)
    return Results(summary, reached)
