"""``classify``: what files, whole or cut, show. torch is loaded once one is ready."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from progcodec.cli import options
from progcodec.cli import stdin as arriving
from progcodec.cli.engine import convert_shards
from progcodec.cli.files import STANDARD_STREAM, Job, read_stream_or_picture
from progcodec.cli.inputs import gather
from progcodec.cli.options import LOCAL, Many
from progcodec.cli.report import one_by_one, see_through
from progcodec.cli.sheet import Sheet
from progcodec.files import PICTURE_SUFFIXES, STREAM_SUFFIX
from progcodec.fleet.classify import Classify, Prefix
from progcodec.fleet.flow import Loaded, Settled, Stages, flow

if TYPE_CHECKING:
    from progcodec.classification.answer import Answer

ALL = "all"
"""The budget that a file's own length is."""


def _budgets(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int | None, ...]:
    found: dict[int | None, None] = {}
    for part in (ALL if value is None else value).split(","):
        text = part.strip()
        if text != ALL and not (text.isascii() and text.isdigit() and int(text) > 0):
            raise click.BadParameter(
                'must be numbers of bytes with commas between them, as 200,400 or 200,"all".'
            )
        found[None if text == ALL else int(text)] = None
    return tuple(found)


@click.command("classify", short_help="Say what files, whole or cut, or pictures show.")
@options.inputs("FILE...", tree=False)
@click.option(
    "--bytes",
    "budgets",
    callback=_budgets,
    metavar="N,N...",
    help='Answer at each of these sizes, as if the file had been cut there; "all" is the whole '
    "file.",
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
@options.number("--top", least=0, metavar="K", default=0, help="Also give the K likeliest classes.")
@options.judge
@click.option(
    "--labels",
    metavar="CSV|folders",
    help='Also score the answers: true classes from a CSV of file,label lines, or "folders": '
    "their names.",
)
@options.form
@options.output("Write to this file instead of to standard output.")
@options.batch
@options.engine
@options.network
@options.force
@options.grouped(many=Many, operation=Classify)
def classify_command(
    many: Many, operation: Classify, until: str | None, labels: str | None, form: str
) -> None:
    """Say what .shc files, whole or cut, and pictures show: as fine as the bytes make sure.

    A folder stands for its .shc files, or, if it has none, for its pictures. A picture is answered
    once, as it is.

    An answer is a path down the class hierarchy, each step inside the one before, with its
    probability: "bird 0.97 › bird of prey 0.71 (fine class unsure)". It goes down to the finest
    level that is sure enough (--confidence), or, with --level, to that level.

    The built-in classifier has learned what cut files look like, and says how sure it is by how
    much has arrived. builtin@FILE is one of train-classifier. timm:NAME and torchvision:NAME
    (extra: progcodec[classify]) see the same decoded picture, prepared as that model says. Their
    libraries download the weights, unless a file is named: NAME@FILE (.safetensors, or a state dict
    of torch). Between NAME and @FILE may stand options: ?OPTION=VALUE&OPTION=VALUE. mean, std,
    input_size, crop_pct and interpolation replace what the model says about its input; all others
    (pad_type=same, num_classes=10) are the model's own.

    Standard input (-), if it is the only input and is not scored, is classified while it arrives: a
    line whenever the answer changes, at last that of all bytes; with --bytes, each answer as soon
    as its bytes are there.

    --labels adds, for each size, the accuracy at each level and the mean Wu-Palmer similarity of
    the likeliest and the true class. A label is a WordNet id, a class name or an index. Accuracy
    counts each level's likeliest group by itself, which may lie outside of the path that is shown.
    With csv and jsonl the scores go to standard error.

    \b
    Examples:
      progcodec classify photo.shc
      progcodec classify photo.jpg
      progcodec classify photo.shc --bytes 200,400,800,all --top 3
      progcodec classify photos/ --level coarse --format csv > photos.csv
      progcodec classify validation/ --recursive --labels folders --bytes 300,1000,all
      progcodec classify "shards/*.tar" --engine ray -o answers/
      progcodec classify photo.shc --classifier timm:resnet50
      progcodec classify photo.shc --classifier "timm:resnet50?mean=0.5&std=0.5@my.safetensors"
      head -c 300 photo.shc | progcodec classify -
      curl -s https://example.org/photo.shc | progcodec classify - --until coarse --confidence 0.8
    """
    if many.engine != LOCAL:
        if labels is not None or until is not None:
            raise click.UsageError("--labels and --until are not for --engine ray.")
        if operation.hierarchy is not None:  # other machines have no such file
            operation = replace(operation, hierarchy=operation.tree)
        return convert_shards(operation, many, "classifying")
    operation.check()
    _on_files(operation, many, until, labels, form)


def _on_files(
    operation: Classify, many: Many, until: str | None, labels: str | None, form: str
) -> None:
    found = gather(many, [STREAM_SUFFIX], PICTURE_SUFFIXES)
    sheet = Sheet(operation, found.paths, form, labels, many)
    arrives = found.paths == [STANDARD_STREAM] and sheet.may_arrive
    if until is not None and not (arrives and operation.budgets == (None,)):
        raise click.UsageError("--until is for - alone, without --bytes, --labels and -o FILE.")
    jobs = [Job(path, STANDARD_STREAM) for path in found.paths]
    if arrives:
        enough = None if until is None else operation.tree.level(until)
        outcomes = one_by_one(jobs, partial(_arriving, operation, sheet, enough))
    else:
        # Results are not written but told.
        stages = Stages(partial(_load, operation), operation.run, lambda job, made: made)
        outcomes = flow(jobs, stages, partial(operation.limits, many.batch))
    see_through(jobs, outcomes, "classifying", sheet.take, sheet.close)


def _load(operation: Classify, job: Job) -> Loaded | Settled:
    loaded = operation.load(read_stream_or_picture(job.source, operation.max_pixels))
    content: Any = loaded.content
    return loaded if any(prefix.outcome is None for prefix in content) else Settled(content)


def _arriving(operation: Classify, sheet: Sheet, until: int | None, job: Job) -> list[Prefix]:
    """Answers of standard input as it arrives, until level `until` is sure; returns failures."""
    start, source = arriving.begin(arriving.pieces())
    prefixes = operation.prefixes(start)
    budgets = [prefix.budget for prefix in prefixes if prefix.outcome is None]
    if budgets:
        from progcodec.api import StreamDecoder

        decoder = StreamDecoder(
            model=operation.model, device=operation.device, max_pixels=operation.max_pixels
        )

        def enough(answer: "Answer") -> bool:
            return until is not None and answer.path[until].probability >= answer.confidence

        ask = partial(operation.look, decoder)
        for found in arriving.answers(source, decoder, ask, budgets, until=enough):
            sheet.show(job.source, *found)
    return [prefix for prefix in prefixes if prefix.outcome is not None]
