"""``truncate`` and ``info``: all that needs only the bytes. Starts without torch and numpy."""

import csv
import io
import json

import click

from progcodec.bitstream.description import SegmentInfo, StreamInfo, info
from progcodec.cli import options
from progcodec.cli.files import STANDARD_STREAM, Job, read_stream, show
from progcodec.cli.inputs import gather, plan, stem
from progcodec.cli.many import FileStages, each, work_through
from progcodec.cli.messages import say
from progcodec.files import STREAM_SUFFIX
from progcodec.fleet.operation import Product, Truncate

TRUNCATED_AT_ONCE = 16


@click.command("truncate", short_help="Cut .shc files: keep a prefix.")
@click.argument("inputs", metavar="FILE...", nargs=-1, shell_complete=options.file_names)
@options.recursive
@options.from_list
@options.output('Output file, or folder for several inputs; "-" is standard output.')
@options.cut(bpp=True)
@options.resume
@options.force
def truncate_command(
    inputs: tuple[str, ...],
    recursive: bool,
    listed: str | None,
    output: str | None,
    max_bytes: int | None,
    bpp: float | None,
    level: str | None,
    resume: bool,
    force: bool,
) -> None:
    """Cut .shc files: keep a prefix, which decodes as it is.

    `truncate --bytes N` and `head -c N` give the same bytes. A file that is shorter already is copied whole. The
    default output lies beside the input and is named after the cut: photo.2000B.shc, photo.0.25bpp.shc,
    photo.coarse.shc.

    \b
    Examples:
      progcodec truncate photo.shc --bytes 2000
      progcodec truncate photos/ --recursive --level coarse -o small/
      progcodec truncate - --bpp 0.25 < photo.shc > small.shc
    """
    cut = options.chosen_cut(required=True, max_bytes=max_bytes, bpp=bpp, level=level)
    found = gather(inputs, Truncate.suffixes, recursive=recursive, listed=listed)
    jobs = plan(found, output, lambda name: f"{stem(name)}.{cut}{STREAM_SUFFIX}")

    def tell(job: Job, product: Product) -> None:
        description = info(product.data)
        say(
            f"{summary(job, description)}  {description.reached}",
            to_stderr=job.target == STANDARD_STREAM,
        )

    operation = Truncate(cut)
    stages = FileStages(operation, read_stream, force=force, resume=resume)
    work_through(jobs, stages, operation, "truncating", TRUNCATED_AT_ONCE, tell)


@click.command("info", short_help="Say how far .shc files go.")
@click.argument("inputs", metavar="FILE...", nargs=-1, shell_complete=options.file_names)
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
def info_command(inputs: tuple[str, ...], recursive: bool, listed: str | None, form: str) -> None:
    """Say how far .shc files go: size, rate, level reached, checks, model.

    A file that was cut is no error. Under "reached" stands the last whole segment and how much there is of the next;
    under "coarse", "intermediate" and "fine" the byte at which the level ends, in brackets if the file is cut before;
    "quality" is what it was encoded with, "checked" tells whether every whole segment's checksum is there and right, "model" is the checkpoint's fingerprint.

    \b
    Examples:
      progcodec info photo.shc
      progcodec info photos/ --recursive --format csv > photos.csv
      head -c 3000 photo.shc | progcodec info -
    """
    sources = gather(inputs, [STREAM_SUFFIX], recursive=recursive, listed=listed).paths
    heading_due = form != "jsonl"

    def work(job: Job) -> None:
        nonlocal heading_due
        description = info(read_stream(job.source))
        if heading_due:
            say(
                _TABLE_HEADING
                if form == "table"
                else _csv_line(_record(job.source, description).keys())
            )
            heading_due = False
        if form == "table":
            say(_table_line(job.source, description))
        elif form == "csv":
            say(_csv_line(_record(job.source, description).values()))
        else:
            say(json.dumps(_record(job.source, description)))

    each([Job(source, STANDARD_STREAM) for source in sources], work, "reading")


def summary(job: Job, description: StreamInfo) -> str:
    """``photo.jpg -> photo.shc  12,345 bytes  0.361 bpp``"""
    names = f"{show(job.source)} -> {show(job.target)}"
    return f"{names}  {description.file_bytes:,} bytes  {description.bits_per_pixel:.3f} bpp"


_TABLE_HEADING = (
    f"{'bytes':>10}  {'pixels':>11}  {'bpp':>6}  {'quality':>7}  {'reached':<34}  "
    f"{'coarse':>11}  {'intermediate':>12}  {'fine':>12}  {'checked':<7}  {'model':<8}  file"
)


def _table_line(source: str, description: StreamInfo) -> str:
    pixels = f"{description.width}x{description.height}"
    coarse, intermediate, fine = (_end(segment) for segment in description.segments[1:])
    return (
        f"{description.file_bytes:>10,}  {pixels:>11}  {description.bits_per_pixel:>6.3f}  "
        f"{description.quality:>+7d}  {description.reached:<34}  "
        f"{coarse:>11}  {intermediate:>12}  {fine:>12}  {_checked(description):<7}  {description.fingerprint}  {show(source)}"
    )


def _end(segment: SegmentInfo) -> str:
    """Where a level ends, in bytes; in brackets if the file is cut before, a dash if it is cut before it tells."""
    if segment.end is None:
        return "-"
    return f"{segment.end:,}" if segment.complete else f"({segment.end:,})"


def _checked(description: StreamInfo) -> str:
    if not description.checksums:
        return "off"
    whole = [segment for segment in description.segments if segment.complete]
    return (
        "yes"
        if whole and all(segment.verified for segment in whole)
        else "partly"
        if whole
        else "none"
    )


def _record(source: str, description: StreamInfo) -> dict[str, object]:
    return {"file": show(source), **description.to_dict()}


def _csv_line(values: object) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)  # type: ignore[arg-type]
    return line.getvalue()
