"""``classify``: what files, whole or cut, show. torch is imported once the command runs."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import click

from progcodec.cli import answers, options
from progcodec.cli.batch import EXPECTED_ERRORS, complain, expected, progress, reason, say
from progcodec.cli.files import (
    STANDARD_STREAM,
    STREAM_SUFFIX,
    check_writable,
    expand,
    read_stream,
    show,
    write_bytes,
)
from progcodec.errors import CheckpointError, HierarchyError, ProgcodecError
from progcodec.stream import truncate

if TYPE_CHECKING:
    import numpy as np

    from progcodec.classification.classifier import Classifier
    from progcodec.classification.labels import Labels
    from progcodec.codec import Codec
    from progcodec.hierarchy import Hierarchy

ALL = "all"
"""The budget that a file's own length is."""
FILES_AT_ONCE = 64
"""Files that are read before their answers come, so that those of one size share a batch."""


class Prefix(NamedTuple):
    source: str
    budget: int | None
    data: bytes


def _budgets(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int | None]:
    found: dict[int | None, None] = {}
    for part in (ALL if value is None else value).split(","):
        text = part.strip()
        if text != ALL and not (text.isascii() and text.isdigit() and int(text) > 0):
            raise click.BadParameter('must be numbers of bytes with commas between them, as 200,400 or 200,"all".')
        found[None if text == ALL else int(text)] = None
    return list(found)


@click.command("classify", short_help="Say what files, whole or cut, show.")
@click.argument("inputs", metavar="FILE...", nargs=-1, required=True, shell_complete=options.file_names)
@click.option("--bytes", "budgets", callback=_budgets, metavar="N,N...",
              help='Answer at each of these sizes, as if the file had been cut there; "all" is the whole file.')
@click.option("--level", metavar="LEVEL", help="Answer at this level, sure or not: coarse, intermediate or fine.")
@click.option("--confidence", type=click.FloatRange(0, 1), metavar="P", default=0.5, show_default=True,
              help="The probability from which a level counts as sure.")
@click.option("--top", type=click.IntRange(min=0), metavar="K", default=0, help="Also give the K likeliest classes.")
@click.option("--classifier", metavar="C", help="builtin (the default), timm:NAME or torchvision:NAME; see above.")
@click.option("--hierarchy", metavar="FILE", shell_complete=options.file_names, help="The classifier's classes in groups of your own.")
@click.option("--labels", metavar="CSV|folders",
              help='Also score the answers: true classes from a CSV of file,label lines, or "folders": their names.')
@click.option("--recursive", is_flag=True, help="Reach into the folders inside of folders.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True,
              help="A table to read, comma-separated values, or one JSON object a line.")
@options.output("Write to this file instead of to standard output.")
@click.option("--batch", type=click.IntRange(min=1), metavar="N", default=16, show_default=True,
              help="Pictures of one size that go through the networks together.")
@options.model
@options.device
@options.max_pixels
@options.force
def classify_command(
    inputs: tuple[str, ...],
    budgets: list[int | None],
    level: str | None,
    confidence: float,
    top: int,
    classifier: str | None,
    hierarchy: str | None,
    labels: str | None,
    recursive: bool,
    form: str,
    output: str | None,
    batch: int,
    model: str | None,
    device: str,
    max_pixels: int,
    force: bool,
) -> None:
    """Say what .shc files, whole or cut, show: as fine as the bytes make sure.

    An answer is a path down the class hierarchy, each step inside the one before, with its probability: "bird 0.97 ›
    bird of prey 0.71 (fine class unsure)". It goes down to the finest level that is sure enough (--confidence), or,
    with --level, to that level.

    The built-in classifier reads the file's latent and decodes no picture. timm:NAME and torchvision:NAME (extra:
    progcodec[classify]) classify the decoded picture, prepared as that model says. Their libraries download the weights,
    unless a file is named: NAME@FILE (.safetensors, or a state dict of torch). Between NAME and @FILE may stand options:
    ?OPTION=VALUE&OPTION=VALUE. mean, std, input_size, crop_pct and interpolation replace what the model says about its
    input; all others (pad_type=same, num_classes=10) are the model's own.

    --labels adds, for each size, the accuracy at each level and the mean Wu-Palmer similarity of the likeliest and the
    true class. A label is a WordNet id, a class name or an index. Accuracy counts each level's likeliest group by itself,
    which may lie outside of the path that is shown. With csv and jsonl the scores go to standard error.

    \b
    Examples:
      progcodec classify photo.shc
      progcodec classify photo.shc --bytes 200,400,800,all --top 3
      progcodec classify photos/ --level coarse --format csv > photos.csv
      progcodec classify validation/ --recursive --labels folders --bytes 300,1000,all
      progcodec classify photo.shc --classifier timm:resnet50
      progcodec classify photo.shc --classifier "timm:mobilenetv2_100?pad_type=same&mean=0.5&std=0.5@my.safetensors"
      head -c 300 photo.shc | progcodec classify -
    """
    sources, _ = expand(_inside(inputs) if recursive else inputs, [STREAM_SUFFIX])
    to_file = output not in (None, STANDARD_STREAM)
    if to_file:
        check_writable(output, force)
    from progcodec.hierarchy import Hierarchy

    tree = Hierarchy.load(hierarchy)
    if level is not None:
        tree.level(level)  # What is wrong is told before torch is loaded.
    truth = _labels(labels, tree)

    from progcodec.classification.answer import answers as answer_rows
    from progcodec.classification.batches import classify_streams
    from progcodec.network.device import pick_device

    pick_device(device)
    models = _Models(tree, classifier, model, device, max_pixels)
    sheet = answers.Table(sources) if form == "table" else answers.Records(form, tree, top, truth is not None)
    tally = _Tally(tree, budgets)
    kept: list[str] = []
    failed = False

    def emit(lines: Iterable[str]) -> None:
        for line in lines:
            kept.append(line) if to_file else say(line)

    def fail(source: str, error: Exception, budget: int | None = None) -> None:
        nonlocal failed
        if not expected(error):
            raise error
        failed = True
        at = "" if budget is None else f"at {budget:,} bytes: "
        complain(source, at + reason(error, source))

    heading = sheet.heading()
    with progress(sources, "classifying") as steps:
        while window := list(islice(steps, FILES_AT_ONCE)):
            prefixes = [prefix for source in window for prefix in _prefixes(source, budgets, fail)]
            outcomes = classify_streams([prefix.data for prefix in prefixes], models.of, batch, max_pixels)
            for prefix, outcome in zip(prefixes, outcomes, strict=True):
                if isinstance(outcome, (CheckpointError, HierarchyError)):
                    raise outcome  # Not this file's fault, and the same for all.
                if isinstance(outcome, Exception):
                    fail(prefix.source, outcome, prefix.budget)
                    continue
                (answer,) = answer_rows(outcome[None], tree, level=level, confidence=confidence, top=top)
                label = truth(prefix.source) if truth is not None else None
                tally.add(prefix, outcome, label)
                emit(heading)
                heading = []
                emit(sheet.lines(answers.Row(prefix.source, prefix.budget, len(prefix.data), answer, label)))

    if truth is not None:
        try:
            lines = tally.lines()
        except ProgcodecError as error:  # The answers are there all the same.
            failed, lines = True, []
            complain(None, reason(error))
        if form == "table":
            emit(["", *lines] if lines else [])
        else:
            for line in lines:
                say(line, to_stderr=True)
    if to_file and kept:
        write_bytes(output, ("\n".join(kept) + "\n").encode(), force)
        say(f"wrote {show(output)}")
    if failed:
        click.get_current_context().exit(1)


class _Models:
    """Finds codec and classifier for a stream; a classifier of pictures is loaded at once, and tells at once if it cannot."""

    def __init__(self, tree: "Hierarchy", spec: str | None, model: str | None, device: str, max_pixels: int) -> None:
        from progcodec.classification.api import cached_classifier
        from progcodec.classification.classifier import check_fit, reads_pictures

        self._tree, self._spec, self._model, self._device, self._max_pixels = tree, spec, model, device, max_pixels
        self._find = cached_classifier
        self._check = check_fit
        if reads_pictures(spec):
            self._check(self._find(spec, None, device), tree)

    def of(self, data: bytes) -> "tuple[Codec, Classifier]":
        from progcodec.api import codec_for

        codec = codec_for(data, model=self._model, device=self._device, max_pixels=self._max_pixels)
        classifier = self._find(self._spec, codec, self._device)
        self._check(classifier, self._tree)
        return codec, classifier


class _Tally:
    """Predictions and true classes, for each budget."""

    def __init__(self, tree: "Hierarchy", budgets: list[int | None]) -> None:
        self._tree = tree
        self._found: dict[int | None, list[tuple[np.ndarray, int]]] = {budget: [] for budget in budgets}
        self._without: set[str] = set()

    def add(self, prefix: Prefix, probabilities: "np.ndarray", label: int | None) -> None:
        from progcodec.classification.score import predictions

        if label is None:
            self._without.add(prefix.source)
        else:
            self._found[prefix.budget].append((predictions(probabilities, self._tree), label))

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


def _prefixes(source: str, budgets: list[int | None], fail) -> Iterator[Prefix]:
    """A file cut at each budget; `fail` is told of what cannot be read or cut."""
    try:
        if os.path.isdir(source):
            raise ProgcodecError("no fitting files in this folder")
        data = read_stream(source)
    except EXPECTED_ERRORS as error:
        fail(source, error)
        return
    for budget in budgets:
        try:
            yield Prefix(source, budget, data if budget is None else truncate(data, max_bytes=budget))
        except ProgcodecError as error:
            fail(source, error, budget)


def _labels(source: str | None, tree: "Hierarchy") -> "Labels | None":
    if source is None:
        return None
    from progcodec.classification.labels import load_labels

    return load_labels(source, tree)


def _inside(inputs: Iterable[str]) -> list[str]:
    """Each folder's .shc files at any depth in its place, if it has any."""
    names: list[str] = []
    for name in inputs:
        found = []
        for folder, folders, files in os.walk(name):
            folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
            fitting = (file for file in sorted(files) if file.lower().endswith(STREAM_SUFFIX) and file[0] != ".")
            found += [os.path.join(folder, file) for file in fitting]
        names += found or [name]
    return names
