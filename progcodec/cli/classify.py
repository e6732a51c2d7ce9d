"""``classify``: what files, whole or cut, show. torch is imported once the command runs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from progcodec.cli import answers, options
from progcodec.cli.engine import convert_shards
from progcodec.cli.files import (
    STANDARD_STREAM,
    check_writable,
    read_stream_or_picture,
    show,
    write_bytes,
)
from progcodec.cli.inputs import gather
from progcodec.cli.messages import complain, say
from progcodec.cli.models import Models
from progcodec.cli.options import LOCAL, Many
from progcodec.cli.report import Report
from progcodec.errors import CheckpointError, HierarchyError, ProgcodecError
from progcodec.files import STREAM_SUFFIX
from progcodec.fleet.flow import Outcome, flow
from progcodec.fleet.operation import Encode

if TYPE_CHECKING:
    from progcodec.arrays import Floats, Ints
    from progcodec.classification.answer import Answer
    from progcodec.classification.labels import Labels
    from progcodec.hierarchy.hierarchy import Hierarchy

ALL = "all"
"""The budget that a file's own length is."""


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
def classify_command(
    inputs: tuple[str, ...],
    budgets: list[int | None],
    until: str | None,
    level: str | None,
    confidence: float,
    top: int,
    classifier: str | None,
    hierarchy: str | None,
    labels: str | None,
    recursive: bool,
    listed: str | None,
    form: str,
    output: str | None,
    batch: int,
    engine: str,
    model: str | None,
    device: str,
    max_pixels: int,
    force: bool,
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
    from progcodec.hierarchy.hierarchy import Hierarchy

    tree = Hierarchy.load(hierarchy)
    if level is not None:
        tree.level(level)  # What is wrong is told before torch is loaded.
    if engine != LOCAL:
        if labels is not None or until is not None:
            raise click.UsageError("--labels and --until are not for --engine ray.")
        from progcodec.fleet.answering import Answer as Answering

        groups = None if hierarchy is None else tree
        operation = Answering(
            model, device, classifier, groups, tuple(budgets), level, confidence, top, max_pixels
        )
        many = Many(inputs, recursive, listed, output, False, batch, engine, force)
        return convert_shards(operation, many, "classifying")
    pictures = Encode.suffixes
    sources = gather(inputs, [STREAM_SUFFIX], pictures, recursive=recursive, listed=listed).paths
    file = None if output == STANDARD_STREAM else output
    to_file = file is not None
    if file is not None:
        check_writable(file, force)
    truth = _labels(labels, tree)
    arrives = sources == [STANDARD_STREAM] and truth is None and not to_file
    if until is not None and not (arrives and budgets == [None]):
        raise click.UsageError("--until is for - alone, without --bytes, --labels and -o FILE.")
    enough = None if until is None else tree.level(until)

    from progcodec.classification.answer import answers as answer_rows
    from progcodec.fleet.classifying import Classify
    from progcodec.fleet.operation import limits_on

    limits = limits_on(device, batch)
    models = Models(tree, classifier, model, device, max_pixels)
    sheet = (
        answers.Table(sources, tree, labels)
        if form == "table"
        else answers.Records(form, tree, top, truth is not None)
    )
    tally = _Tally(tree, budgets)
    kept: list[str] = []
    heading = sheet.heading()
    report: Report[Outcome[str]] = Report(len(sources), "classifying")

    def emit(lines: Iterable[str]) -> None:
        for line in lines:
            kept.append(line) if to_file else say(line)

    def fail(source: str, error: Exception, budget: int | None = None) -> None:
        report.fail(source, error, "" if budget is None else f"at {budget:,} bytes: ")

    def show_answer(
        source: str, budget: int | None, size: int, answer: "Answer", label: int | None
    ) -> None:
        nonlocal heading
        emit(heading)
        heading = []
        emit(sheet.lines(answers.Row(source, budget, size, answer, label)))

    with report:
        if arrives:
            sources = []
            found = models.arriving(
                budgets, enough, fail, level=level, confidence=confidence, top=top
            )
            for budget, size, answer in found:
                show_answer(STANDARD_STREAM, budget, size, answer, None)

        def read(source: str) -> bytes:
            return read_stream_or_picture(source, max_pixels)

        stages = Classify(read, budgets, models.of, batch, max_pixels)
        for source, result, error in report.over(flow(sources, stages, limits)):
            if error is not None:
                fail(source, error)
                continue
            label = truth(source) if truth is not None else None
            for budget, size, outcome in result:
                if isinstance(outcome, (CheckpointError, HierarchyError)):
                    raise outcome  # Not this file's fault, and the same for all.
                if isinstance(outcome, Exception):
                    fail(source, outcome, budget)
                    continue
                (answer,) = answer_rows(
                    outcome[None], tree, level=level, confidence=confidence, top=top
                )
                tally.add(source, budget, outcome, label)
                show_answer(source, budget, size, answer, label)

        if truth is not None:
            lines: list[str] = []
            try:
                lines = tally.lines()
            except ProgcodecError as error:  # The answers are there all the same.
                report.fail(None, error)
            if form == "table":
                emit(["", *lines] if lines else [])
            else:
                for line in lines:
                    say(line, to_stderr=True)
        if file is not None and kept:
            write_bytes(file, ("\n".join(kept) + "\n").encode(), force)
            say(f"wrote {show(file)}")


class _Tally:
    """Predictions and true classes, for each budget."""

    def __init__(self, tree: "Hierarchy", budgets: list[int | None]) -> None:
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
