"""``classify``: what files, whole or cut, show. torch is loaded once one of them is ready for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from progcodec.cli import answers, options
from progcodec.cli import stdin as arriving
from progcodec.cli.engine import convert_shards, one_by_one, see_through
from progcodec.cli.files import (
    STANDARD_STREAM,
    Job,
    OutputError,
    StdoutError,
    check_writable,
    read_stream_or_picture,
    show,
    write_bytes,
)
from progcodec.cli.inputs import gather
from progcodec.cli.messages import complain, say
from progcodec.cli.options import LOCAL, Many, Network
from progcodec.cli.report import Report
from progcodec.errors import CheckpointError, HierarchyError, ProgcodecError
from progcodec.files import PICTURE_SUFFIXES, STREAM_SUFFIX
from progcodec.fleet.answering import Answer, Classified, Prefix
from progcodec.fleet.flow import Loaded, Settled, Threads, flow

if TYPE_CHECKING:
    from progcodec.arrays import Floats, Ints
    from progcodec.classification.answer import Answer as ClassAnswer
    from progcodec.classification.labels import Labels
    from progcodec.hierarchy.hierarchy import Hierarchy

ALL = "all"
"""The budget that a file's own length is."""


@dataclass(frozen=True)
class Asked:
    """What is asked about each file."""

    budgets: list[int | None]
    level: str | None
    confidence: float
    top: int
    classifier: str | None
    hierarchy: str | None


def _budgets(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> list[int | None]:
    found: dict[int | None, None] = {}
    for part in (ALL if value is None else value).split(","):
        text = part.strip()
        if text != ALL and not (text.isascii() and text.isdigit() and int(text) > 0):
            raise click.BadParameter(
                'must be numbers of bytes with commas between them, as 200,400 or 200,"all".'
            )
        found[None if text == ALL else int(text)] = None
    return list(found)


@click.command("classify", short_help="Say what files, whole or cut, or pictures show.")
@click.argument("inputs", metavar="FILE...", nargs=-1, shell_complete=options.file_names)
@click.option(
    "--bytes",
    "budgets",
    callback=_budgets,
    metavar="N,N...",
    help='Answer at each of these sizes, as if the file had been cut there; "all" is the whole file.',
)
@click.option(
    "--until",
    metavar="LEVEL",
    help="With - alone: hang up as soon as this level is sure (--confidence).",
)
@click.option(
    "--level",
    metavar="LEVEL",
    help="Answer at this level, sure or not: coarse, intermediate or fine.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    metavar="P",
    default=0.5,
    show_default=True,
    help="The probability from which a level counts as sure.",
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    metavar="K",
    default=0,
    help="Also give the K likeliest classes.",
)
@click.option(
    "--classifier",
    metavar="C",
    help="builtin (the default), timm:NAME or torchvision:NAME; see above.",
)
@click.option(
    "--hierarchy",
    metavar="FILE",
    shell_complete=options.file_names,
    help="The classifier's classes in groups of your own.",
)
@click.option(
    "--labels",
    metavar="CSV|folders",
    help='Also score the answers: true classes from a CSV of file,label lines, or "folders": their names.',
)
@options.reaching
@options.from_list
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "jsonl"]),
    default="table",
    show_default=True,
    help="A table to read, comma-separated values, or one JSON object a line.",
)
@options.output("Write to this file instead of to standard output.")
@options.batch
@options.engine
@options.network
@options.force
@options.grouped(many=Many, network=Network, asked=Asked)
def classify_command(
    many: Many,
    network: Network,
    asked: Asked,
    until: str | None,
    labels: str | None,
    form: str,
) -> None:
    """Say what .shc files, whole or cut, and pictures show: as fine as the bytes make sure.

    A folder stands for its .shc files, or, if it has none, for its pictures. A picture is answered once, as it is.

    An answer is a path down the class hierarchy, each step inside the one before, with its probability: "bird 0.97 ›
    bird of prey 0.71 (fine class unsure)". It goes down to the finest level that is sure enough (--confidence), or,
    with --level, to that level.

    The built-in classifier has learned what cut files look like, and says how sure it is by how much has arrived.
    builtin@FILE is one of train-classifier. timm:NAME and torchvision:NAME (extra: progcodec[classify]) see the same
    decoded picture, prepared as that model says. Their libraries download the weights,
    unless a file is named: NAME@FILE (.safetensors, or a state dict of torch). Between NAME and @FILE may stand options:
    ?OPTION=VALUE&OPTION=VALUE. mean, std, input_size, crop_pct and interpolation replace what the model says about its
    input; all others (pad_type=same, num_classes=10) are the model's own.

    Standard input (-), if it is the only input and is not scored, is classified while it arrives: a line whenever the
    answer changes, at last that of all bytes; with --bytes, each answer as soon as its bytes are there.

    --labels adds, for each size, the accuracy at each level and the mean Wu-Palmer similarity of the likeliest and the
    true class. A label is a WordNet id, a class name or an index. Accuracy counts each level's likeliest group by itself,
    which may lie outside of the path that is shown. With csv and jsonl the scores go to standard error.

    \b
    Examples:
      progcodec classify photo.shc
      progcodec classify photo.shc --bytes 200,400,800,all --top 3
      progcodec classify photos/ --level coarse --format csv > photos.csv
      progcodec classify validation/ --recursive --labels folders --bytes 300,1000,all
      progcodec classify "shards/*.tar" --engine ray -o answers/
      progcodec classify photo.shc --classifier timm:resnet50
      progcodec classify photo.shc --classifier "timm:mobilenetv2_100?pad_type=same&mean=0.5&std=0.5@my.safetensors"
      head -c 300 photo.shc | progcodec classify -
      curl -s https://example.org/photo.shc | progcodec classify - --until coarse --confidence 0.8
    """
    operation = _operation(network, asked)
    if many.engine != LOCAL:
        if labels is not None or until is not None:
            raise click.UsageError("--labels and --until are not for --engine ray.")
        return convert_shards(operation, many, "classifying")
    found = gather(
        many.inputs,
        [STREAM_SUFFIX],
        PICTURE_SUFFIXES,
        recursive=many.recursive,
        listed=many.listed,
    )
    operation.check()
    sheet = Sheet(operation, found.paths, form, labels, many)
    arrives = found.paths == [STANDARD_STREAM] and sheet.may_arrive
    if until is not None and not (arrives and operation.budgets == (None,)):
        raise click.UsageError("--until is for - alone, without --bytes, --labels and -o FILE.")
    jobs = [Job(path, STANDARD_STREAM) for path in found.paths]
    if arrives:
        enough = None if until is None else operation.tree.level(until)
        listen = partial(_arriving, operation, sheet, enough)
        outcomes = one_by_one(jobs, listen)
    else:
        stages = _Stages(operation)
        outcomes = flow(jobs, stages, partial(operation.limits, many.batch))
    see_through(jobs, outcomes, "classifying", sheet.take, sheet.close)


def _operation(network: Network, asked: Asked) -> Answer:
    from progcodec.hierarchy.hierarchy import Hierarchy

    return Answer(
        network.model,
        network.device,
        asked.classifier,
        None if asked.hierarchy is None else Hierarchy.load(asked.hierarchy),
        tuple(asked.budgets),
        asked.level,
        asked.confidence,
        asked.top,
        network.max_pixels,
    )


class _Stages(NamedTuple):
    """An operation on files, whose results are not written but told."""

    operation: Answer

    def load(self, job: Job) -> Loaded | Settled:
        loaded = self.operation.load(read_stream_or_picture(job.source, self.operation.max_pixels))
        return _refused(loaded) or loaded

    def run(self, contents: Sequence[list[Prefix]], threads: Threads) -> list[list[Classified]]:
        return self.operation.run(contents, threads)

    def finish(self, job: Job, made: list[Classified]) -> list[Classified]:
        return made


def _refused(loaded: Loaded) -> Settled | None:
    """What there is to tell of a file that can be answered at no size."""
    prefixes: Any = loaded.content
    if not all(prefix.error for prefix in prefixes):
        return None
    return Settled([Classified(prefix.budget, 0, prefix.error) for prefix in prefixes])


def _arriving(operation: Answer, sheet: "Sheet", until: int | None, job: Job) -> list[Classified]:
    """Answers of standard input while it arrives, until it ends, or until a level (`until`, its number) is sure.

    Returns what cannot be answered.
    """
    source = arriving.opening(arriving.pieces())
    first = next(source)
    if refused := _refused(operation.load(first.data)):
        return refused.result  # type: ignore[return-value]
    from progcodec.api import StreamDecoder

    decoder = StreamDecoder(
        model=operation.model, device=operation.device, max_pixels=operation.max_pixels
    )
    options: dict[str, Any] = {
        "classifier": operation.judge,
        "hierarchy": operation.tree,
        "level": operation.level,
        "confidence": operation.confidence,
        "top": operation.top,
    }
    failed: list[Classified] = []
    found = arriving.answers(
        chain([first], source),
        decoder,
        lambda: decoder.classify(**options),
        operation.budgets,
        until=lambda answer: (
            until is not None and answer.path[until].probability >= answer.confidence
        ),
        refuse=lambda budget, error: failed.append(Classified(budget, 0, error)),
    )
    for budget, size, answer in found:
        sheet.show(job.source, budget, size, answer)
    return failed


class Sheet:
    """What is printed, or kept for a file: an answer for each file and size, and at the end the scores."""

    def __init__(
        self, operation: Answer, sources: Sequence[str], form: str, labels: str | None, many: Many
    ) -> None:
        tree = operation.tree
        self._operation, self._form, self._force = operation, form, many.force
        self._file = None if many.output == STANDARD_STREAM else many.output
        if self._file is not None:
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

    def take(self, report: Report[Any], job: Job, found: list[Classified]) -> None:
        """What was found for a file. Raises what is not the file's fault."""
        label = self._truth(job.source) if self._truth is not None else None
        for budget, size, outcome in found:
            if isinstance(outcome, (CheckpointError, HierarchyError)):
                raise outcome
            if isinstance(outcome, Exception):
                report.fail(job.source, outcome, "" if budget is None else f"at {budget:,} bytes: ")
                continue
            self._tally.add(job.source, budget, outcome, label)
            self.show(job.source, budget, size, self._operation.answer(outcome), label)

    def show(
        self,
        source: str,
        budget: int | None,
        size: int,
        answer: "ClassAnswer",
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
            write_bytes(self._file, ("\n".join(self._kept) + "\n").encode(), self._force)
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
