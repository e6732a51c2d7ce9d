"""How `classify` prints answers and scores: a table to read, comma-separated values, or JSON."""

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from progcodec.cli.files import show
from progcodec.cli.messages import terminal_width

if TYPE_CHECKING:
    from progcodec.classification.answer import Answer
    from progcodec.classification.score import Score
    from progcodec.hierarchy.hierarchy import Hierarchy

NAME_WIDTHS = (14, 28)
"""Fewest and most columns for file names in the table; of longer ones the end is shown."""
ANSWER_WIDTH = 55
"""Columns that the names leave to answers on a terminal."""
BYTES_WIDTH = 9
NO_BREAK = "\N{NO-BREAK SPACE}"


class Row(NamedTuple):
    """One answer: a file, cut at a budget (None: as it is)."""

    source: str
    budget: int | None
    bytes: int
    answer: "Answer"
    label: int | None
    """Index of the true class, where it is known."""


class Table:
    """Lines for a terminal: the file once, then a line for each budget."""

    def __init__(
        self, sources: Iterable[str], tree: "Hierarchy | None" = None, labels: str | None = None
    ) -> None:
        """With `tree` and `labels` (``--labels``) the truth stands below a file's first answer."""
        self._tree = tree if labels is not None else None
        self._labels = labels
        least, most = NAME_WIDTHS
        if (width := terminal_width()) is not None:
            most = min(most, max(least, width - BYTES_WIDTH - 4 - ANSWER_WIDTH))
        self._names = min(most, max([4, *(len(show(source)) for source in sources)]))
        self._last: str | None = None

    def heading(self) -> list[str]:
        return [f"{'file':<{self._names}}  {'bytes':>{BYTES_WIDTH}}  answer"]

    def lines(self, row: Row) -> list[str]:
        first = row.source != self._last
        name = _tail(show(row.source), self._names) if first else ""
        self._last = row.source
        front = f"{name:<{self._names}}  {row.bytes:>{BYTES_WIDTH},}  "
        lines = _wrapped(str(row.answer).split(" › "), " › ", len(front))
        if row.answer.top:
            lines += _wrapped(f"top: {row.answer.top_text()}".split(", "), ", ", len(front))
        if first and self._tree is not None:
            lines += _wrapped([self._truth(row, self._tree)], " ", len(front))
        return [front + lines[0], *(" " * len(front) + line for line in lines[1:])]

    def _truth(self, row: Row, tree: "Hierarchy") -> str:
        from progcodec.classification.labels import FOLDERS, folder_of

        truth = "unknown" if row.label is None else tree.classes[row.label].name
        folder = f" (folder {show(folder_of(row.source))})" if self._labels == FOLDERS else ""
        return f"truth: {truth}{folder}"


class Records:
    """Flat rows of comma-separated values, or one JSON object a line."""

    def __init__(self, form: str, tree: "Hierarchy", top: int, labelled: bool) -> None:
        self._json = form == "jsonl"
        self._tree = tree
        self._top = min(top, len(tree.classes))
        self._labelled = labelled

    def heading(self) -> list[str]:
        if self._json:
            return []
        columns = ["file", "budget", "bytes", "level", "answer", "probability", "text"]
        for level in self._tree.level_names:
            columns += _columns(level.replace(" ", "_"))
        for place in range(1, self._top + 1):
            columns += _columns(f"top_{place}")
        return [csv_line(columns + (["label", "label_index"] if self._labelled else []))]

    def lines(self, row: Row) -> list[str]:
        record: dict[str, object] = {"file": row.source, "budget": row.budget, "bytes": row.bytes}
        record |= row.answer.to_dict()
        name = None if row.label is None else self._tree.classes[row.label].name
        if self._json:
            if self._labelled:
                record |= {"label": name, "label_index": row.label}
            return [json_line(record)]
        values = [value for value in record.values() if not isinstance(value, list)]
        for guess in (*row.answer.path, *row.answer.top):
            values += [guess.name, guess.index, guess.to_dict()["probability"]]
        return [csv_line(values + ([name, row.label] if self._labelled else []))]


def score_lines(scores: Sequence[tuple[int | None, "Score"]], tree: "Hierarchy") -> list[str]:
    """A table of accuracy at each level and of similarity, a line for each budget."""
    levels = "".join(f"  {level:>12}" for level in tree.level_names)
    lines = [f"{'bytes':>9}  {'pictures':>8}{levels}  {'Wu-Palmer':>9}"]
    for budget, score in scores:
        shares = "".join(f"  {f'{100 * share:.1f} %':>12}" for share in score.accuracy)
        near = "-" if score.wu_palmer is None else f"{score.wu_palmer:.3f}"
        size = "all" if budget is None else f"{budget:,}"
        lines.append(f"{size:>9}  {score.pictures:>8,}{shares}  {near:>9}")
    accuracy = "(accuracy of each level's likeliest group or class by itself"
    return [*lines, f"{accuracy}; similarity of the likeliest class)"]


def json_line(record: dict[str, object]) -> str:
    """A record in one line, readable where every character is; else in ASCII, which is the same."""
    line = json.dumps(record, ensure_ascii=False)
    return line if line.isprintable() else json.dumps(record)


def csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(values)  # of whose characters it quotes cells
    return line.getvalue().removesuffix("\r\n")


def _columns(name: str) -> list[str]:
    return [name, f"{name}_index", f"{name}_probability"]


def _tail(name: str, width: int) -> str:
    return name if len(name) <= width else "…" + name[1 - width :]


def _wrapped(parts: Sequence[str], between: str, indent: int) -> list[str]:
    """Lines that fit beside `indent` columns of a terminal, broken at `between`."""
    width = terminal_width()
    if width is None:
        return [between.join(parts)]
    start, _, end = between.partition(" ")
    joint = f"{start} {end.replace(' ', NO_BREAK)}"
    text = joint.join(part.replace(" ", NO_BREAK) for part in parts)
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    lines = textwrap.wrap(text, max(20, width - indent), subsequent_indent="  ", **options)
    return [line.replace(NO_BREAK, " ") for line in lines]
