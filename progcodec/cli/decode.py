"""``decode``: .shc files to pictures, and standard input while it arrives."""

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from progcodec.cli import options
from progcodec.cli import stdin as arriving
from progcodec.cli.engine import Work, convert
from progcodec.cli.files import STANDARD_STREAM, Job, check_writable, read_stream, show, write_bytes
from progcodec.cli.inputs import gather, plan, stem
from progcodec.cli.messages import tell
from progcodec.cli.options import LOCAL, Many
from progcodec.cli.report import Report, one_by_one, see_through
from progcodec.fleet.operation import Decode, Product

if TYPE_CHECKING:
    from PIL.Image import Image


@click.command("decode", short_help="Files, whole or cut, to pictures.")
@options.inputs("FILE...")
@options.output('Output picture (its suffix tells the format), or folder; "-" is standard output.')
@options.cut(bpp=False)
@options.region
@click.option(
    "--follow",
    is_flag=True,
    help="With - alone: write the picture anew while bytes arrive, as --every says.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=1.0,
    help="The least time between two pictures of --follow.",
)
@options.work
@options.grouped(many=Many, operation=Decode)
def decode_command(many: Many, operation: Decode, follow: bool, every: float) -> None:
    """Decode .shc files, whole or cut: photo.shc becomes photo.png, beside it.

    With --level or --bytes only a prefix is decoded, with --region only a part is drawn. The
    checkpoint is found by the file's own fingerprint among those that come with the package;
    --model names another one. Without a suffix, and on standard output, the picture is PNG.

    Standard input (-) is decoded while it arrives, and read no further than --level or --bytes
    need. With --follow the output always holds a whole picture, of the bytes so far.

    \b
    Examples:
      progcodec decode photo.shc
      progcodec decode photo.shc --level coarse -o coarse.jpg
      progcodec decode huge.shc --region 4000,2500,1024,768 -o detail.png
      progcodec decode streams/ -o pictures/
      head -c 3000 photo.shc | progcodec decode - -o preview.png
      ssh camera cat photo.shc | progcodec decode - --follow -o preview.png
    """
    jobs = [] if many.engine != LOCAL else _jobs(many)
    alone = [job.source for job in jobs] == [STANDARD_STREAM]
    if follow and (not alone or jobs[0].target == STANDARD_STREAM):
        raise click.UsageError("--follow is for - alone, with -o FILE.")
    if follow and operation.region:
        raise click.UsageError("--follow shows whole pictures, without --region.")
    if jobs:
        operation = replace(operation, form=picture_format(jobs[0].target))
    if alone and not operation.region:
        arrives = partial(_arriving, operation, every if follow else None, many.force)
        see_through(jobs, one_by_one(jobs, arrives), "decoding", _done)
    else:
        convert(Work(operation, "decoding", lambda: jobs, read_stream, _line), many)


def picture_format(target: str) -> str:
    """Pillow's name of the format that `target` asks for. Raises click.UsageError if none."""
    suffix = "" if target == STANDARD_STREAM else os.path.splitext(target)[1].lower()
    if suffix in ("", Decode.suffix):
        return "PNG"
    from PIL import Image

    name = Image.registered_extensions().get(suffix)
    if name not in Image.SAVE:
        raise click.UsageError(f"{show(target)}: pictures cannot be written as {suffix}.")
    return name


def _jobs(many: Many) -> list[Job]:
    found = gather(many, Decode.suffixes)
    return plan(found, many.output, lambda name: stem(name) + Decode.suffix, picture_format)


def _arriving(operation: Decode, every: float | None, force: bool, job: Job) -> "Image":
    """The picture of standard input, written at its end, and before it every so many seconds."""
    check_writable(job.target, force, job.named)
    operation.check()
    start, source = arriving.begin(arriving.pieces(every or None))
    operation.load(start)  # what it tells is told before torch is loaded
    from progcodec.api import StreamDecoder
    from progcodec.image import picture_file

    decoder = StreamDecoder(
        model=operation.model,
        device=operation.device,
        level=operation.cut.level,
        max_pixels=operation.max_pixels,
    )

    def write(image: "Image", force: bool) -> None:
        data = picture_file(image, operation.form)
        write_bytes(job.target, data, force, named=job.named)

    def show_so_far(image: "Image") -> None:
        write(image, True)
        tell(f"{_line(job, image)}  {decoder.size:,} bytes")

    limit = operation.cut.max_bytes
    image = arriving.picture(source, decoder, max_bytes=limit, every=every, show=show_so_far)
    write(image, force or every is not None)
    return image


def _done(report: Report, job: Job, image: "Image") -> None:
    tell(_line(job, image), to_stderr=job.target == STANDARD_STREAM)


def _line(job: Job, image: "Image | Product") -> str:
    return f"{show(job.source)} -> {show(job.target)}  {image.width}x{image.height}"
