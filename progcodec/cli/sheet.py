"""What ``classify`` prints, or keeps for a file."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

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
    from progcodec.arrays import Ints
    from progcodec.classification.answer import Answer


class Sheet:
    """An answer for each file and size, and at the end the scores, if there are labels."""

    def __init__(
        self, operation: Classify, sources: Sequence[str], form: str, labels: str | None, many: Many
    ) -> None:
        tree = operation.tree
        self._operation, self._form, self._force = operation, form, many.force
        self._file = None if many.output == STANDARD_STREAM else many.output
        if self._file is not None:
            keep_apart([self._file], [*sources, labels])
            check_writable(self._file, self._force)
        self._truth = None
        if labels is not None:
            from progcodec.classification.labels import load_labels

            self._truth = load_labels(labels, tree, lambda line: complain(None, line))
        self._rows: answers.Table | answers.Records
        if form == "table":
            self._rows = answers.Table(sources, tree, labels)
        else:
            self._rows = answers.Records(form, tree, operation.top, labels is not None)
        # of each budget, the predictions for files with a label, and the labels
        self._scored: dict[int | None, list[tuple[Ints, int]]] = {}
        self._without: set[str] = set()  # files without a label
        self._heading = self._rows.heading()
        self._kept: list[str] = []

    @property
    def may_arrive(self) -> bool:
        """Whether answers may be shown before the last byte is there."""
        return self._truth is None and self._file is None

    def take(self, report: Report, job: Job, found: list[Prefix]) -> None:
        """What was found for a file. Raises what is not the file's fault."""
        label = self._truth(job.source) if self._truth is not None else None
        for budget, data, outcome in found:
            if isinstance(outcome, (CheckpointError, HierarchyError)):
                raise outcome
            if isinstance(outcome, Exception):
                report.fail(job.source, outcome, "" if budget is None else f"at {budget:,} bytes: ")
                continue
            assert outcome is not None, "each was answered"
            if label is not None:
                from progcodec.classification.score import predictions

                predicted = predictions(outcome, self._operation.tree)
                self._scored.setdefault(budget, []).append((predicted, label))
            elif self._truth is not None:
                self._without.add(job.source)
            self.show(job.source, budget, len(data), self._operation.answer(outcome), label)

    def show(
        self, source: str, budget: int | None, size: int, answer: "Answer", label: int | None = None
    ) -> None:
        row = answers.Row(source, budget, size, answer, label)
        self._emit([*self._heading, *self._rows.lines(row)])
        self._heading = []

    def close(self, report: Report) -> None:
        """Scores, if there are labels; the file, if one was named."""
        if self._truth is not None:
            try:
                lines = self._score_lines()
            except ProgcodecError as error:  # The answers are there all the same.
                report.fail(None, error)
                lines = []
            if self._form == "table":
                self._emit(["", *lines] if lines else [])
            else:
                for line in lines:
                    say(line, to_stderr=True)
        if self._file is not None and self._kept:
            write_bytes(self._file, b"".join(map(line_bytes, self._kept)), self._force)
            say(f"wrote {show(self._file)}")

    def _score_lines(self) -> list[str]:
        import numpy as np

        from progcodec.classification.score import score

        if self._without:
            complain(None, f"files without a label, not scored: {len(self._without)}")
        if not self._scored:
            raise ProgcodecError("no answer has a label to be scored against")
        tree = self._operation.tree
        near = tree.wu_palmer() if all(leaf.wnid for leaf in tree.classes) else None
        scores = []
        for budget in dict.fromkeys((*self._operation.budgets, None)):  # pictures have None
            if budget in self._scored:
                predicted, labels = zip(*self._scored[budget], strict=True)
                scores.append((budget, score(np.stack(predicted), np.array(labels), tree, near)))
        return answers.score_lines(scores, tree)

    def _emit(self, lines: Iterable[str]) -> None:
        if self._file is not None:
            self._kept += lines
            return
        try:
            for line in lines:
                say(line)
        except StdoutError as error:  # Nobody reads on: that ends the work.
            raise OutputError(str(error)) from error
