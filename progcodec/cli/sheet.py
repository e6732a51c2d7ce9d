"""What ``classify`` prints, or keeps for a file: an answer for each file and size, and at the end
the scores.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from progcodec.cli import answers
from progcodec.cli.files import (
    STANDARD_STREAM,
    Job,
    OutputError,
    StdoutError,
    check_writable,
    show,
    write_bytes,
)
from progcodec.cli.inputs import keep_apart
from progcodec.cli.messages import complain, line_bytes, say
from progcodec.cli.options import Many
from progcodec.cli.report import Report
from progcodec.errors import CheckpointError, HierarchyError, ProgcodecError
from progcodec.fleet.classify import Classify, Prefix

if TYPE_CHECKING:
    from progcodec.arrays import Floats, Ints
    from progcodec.classification.answer import Answer
    from progcodec.classification.labels import Labels
    from progcodec.hierarchy.hierarchy import Hierarchy


class Sheet:
    """What is printed, or kept for a file: an answer for each file and size, and at the end the
    scores.
    """

    def __init__(
        self, operation: Classify, sources: Sequence[str], form: str, labels: str | None, many: Many
    ) -> None:
        tree = operation.tree
        self._operation, self._form, self._force = operation, form, many.force
        self._file = None if many.output == STANDARD_STREAM else many.output
        if self._file is not None:
            keep_apart([self._file], [*sources, labels])
            check_writable(self._file, self._force)
        self._truth = _labels(labels, tree)
        self._rows: answers.Table | answers.Records
        if form == "table":
            self._rows = answers.Table(sources, tree, labels)
        else:
            self._rows = answers.Records(form, tree, operation.top, self._truth is not None)
        self._tally = _Tally(tree, operation.budgets)
        self._heading = self._rows.heading()
        self._kept: list[str] = []

    @property
    def may_arrive(self) -> bool:
        """Whether answers may be shown before the last byte is there."""
        return self._truth is None and self._file is None

    def take(self, report: Report[Any], job: Job, found: list[Prefix]) -> None:
        """What was found for a file. Raises what is not the file's fault."""
        label = self._truth(job.source) if self._truth is not None else None
        for budget, data, outcome in found:
            if isinstance(outcome, (CheckpointError, HierarchyError)):
                raise outcome
            if isinstance(outcome, Exception):
                report.fail(job.source, outcome, "" if budget is None else f"at {budget:,} bytes: ")
                continue
            assert outcome is not None, "each was answered"
            self._tally.add(job.source, budget, outcome, label)
            self.show(job.source, budget, len(data), self._operation.answer(outcome), label)

    def show(
        self,
        source: str,
        budget: int | None,
        size: int,
        answer: "Answer",
        label: int | None = None,
    ) -> None:
        self._emit(self._heading)
        self._heading = []
        self._emit(self._rows.lines(answers.Row(source, budget, size, answer, label)))

    def close(self, report: Report[Any]) -> None:
        """Scores, if there are labels; the file, if one was named."""
        if self._truth is not None:
            lines: list[str] = []
            try:
                lines = self._tally.lines()
            except ProgcodecError as error:  # The answers are there all the same.
                report.fail(None, error)
            if self._form == "table":
                self._emit(["", *lines] if lines else [])
            else:
                for line in lines:
                    say(line, to_stderr=True)
        if self._file is not None and self._kept:
            write_bytes(self._file, b"".join(map(line_bytes, self._kept)), self._force)
            say(f"wrote {show(self._file)}")

    def _emit(self, lines: Iterable[str]) -> None:
        if self._file is not None:
            self._kept += lines
            return
        try:
            for line in lines:
                say(line)
        except StdoutError as error:  # Nobody reads on: that ends the work.
            raise OutputError(str(error)) from error


class _Tally:
    """Predictions and true classes, for each budget."""

    def __init__(self, tree: "Hierarchy", budgets: Sequence[int | None]) -> None:
        self._tree = tree
        self._found: dict[int | None, list[tuple[Ints, int]]] = {budget: [] for budget in budgets}
        self._without: set[str] = set()

    def add(
        self, source: str, budget: int | None, probabilities: "Floats", label: int | None
    ) -> None:
        from progcodec.classification.score import predictions

        if label is None:
            self._without.add(source)
        else:
            self._found[budget].append((predictions(probabilities, self._tree), label))

    def lines(self) -> list[str]:
        import numpy as np

        from progcodec.classification.score import score

        if self._without:
            complain(None, f"files without a label, not scored: {len(self._without)}")
        scored = {budget: found for budget, found in self._found.items() if found}
        if not scored:
            raise ProgcodecError("no answer has a label to be scored against")
        near = self._tree.wu_palmer() if all(leaf.wnid for leaf in self._tree.classes) else None
        scores = []
        for budget, found in scored.items():
            predicted, labels = zip(*found, strict=True)
            scores.append((budget, score(np.stack(predicted), np.array(labels), self._tree, near)))
        return answers.score_lines(scores, self._tree)


def _labels(source: str | None, tree: "Hierarchy") -> "Labels | None":
    if source is None:
        return None
    from progcodec.classification.labels import load_labels

    return load_labels(source, tree, lambda line: complain(None, line))
