"""``decode``: .shc files to pictures, and standard input while it arrives."""

import os
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from progcodec.cli import options
from progcodec.cli import stdin as arriving
from progcodec.cli.engine import Work, convert, one_by_one, see_through
from progcodec.cli.files import (
    STANDARD_STREAM,
    Job,
    check_writable,
    read_stream,
    show,
    write_bytes,
)
from progcodec.cli.inputs import gather, plan, stem
from progcodec.cli.messages import tell
from progcodec.cli.options import LOCAL, Many, Network
from progcodec.cli.report import Report
from progcodec.cut import Cut
from progcodec.fleet.operation import Decode, Product

if TYPE_CHECKING:
    from PIL.Image import Image


class Following(NamedTuple):
    """Whether pictures are written while bytes arrive, and the least seconds between two."""

    follow: bool
    every: float


@click.command("decode", short_help="Files, whole or cut, to pictures.")
@click.argument("inputs", metavar="FILE...", nargs=-1, shell_complete=options.file_names)
@options.recursive
@options.from_list
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
    show_default=True,
    help="The least time between two pictures of --follow.",
)
@options.resume
@options.batch
@options.engine
@options.network
@options.force
@options.quiet
@options.grouped(many=Many, network=Network)
def decode_command(
    many: Many,
    network: Network,
    cut: Cut,
    region: tuple[int, int, int, int] | None,
    follow: bool,
    every: float,
) -> None:
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
    form = picture_format(jobs[0].target) if jobs else "PNG"
    operation = Decode(network.model, network.device, cut, form, network.max_pixels, region)
    if follow and [(job.source, job.target == STANDARD_STREAM) for job in jobs] != [
        (STANDARD_STREAM, False)
    ]:
        raise click.UsageError("--follow is for - alone, with -o FILE.")
    if follow and region:
        raise click.UsageError("--follow shows whole pictures, without --region.")
    if [job.source for job in jobs] == [STANDARD_STREAM] and not region:
        arrives = _Arriving(operation, Following(follow, every), many.force)
        see_through(jobs, one_by_one(jobs, arrives.decode), "decoding", _done)
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
    found = gather(many.inputs, Decode.suffixes, recursive=many.recursive, listed=many.listed)
    return plan(found, many.output, lambda name: stem(name) + Decode.suffix, picture_format)


class _Arriving(NamedTuple):
    """Standard input while it arrives, to a picture."""

    operation: Decode
    following: Following
    force: bool

    def decode(self, job: Job) -> "Image":
        operation, (follow, every) = self.operation, self.following
        check_writable(job.target, self.force)
        operation.check()
        source = self._checked((every or None) if follow else None)
        from progcodec.api import StreamDecoder
        from progcodec.image import picture_file

        decoder = StreamDecoder(
            model=operation.model,
            device=operation.device,
            level=operation.cut.level,
            max_pixels=operation.max_pixels,
        )

        def show_so_far(image: "Image") -> None:
            write_bytes(job.target, picture_file(image, operation.form), force=True)
            tell(f"{_line(job, image)}  {decoder.size:,} bytes")

        interim: dict[str, Any] = {"every": every, "show": show_so_far} if follow else {}
        image = arriving.picture(source, decoder, max_bytes=operation.cut.max_bytes, **interim)
        write_bytes(job.target, picture_file(image, operation.form), self.force or follow)
        return image

    def _checked(self, patience: float | None) -> Iterator[arriving.Piece]:
        """The bytes; what the first of them tell is told before torch is loaded."""
        source = arriving.opening(arriving.pieces(patience))
        first = next(source)
        self.operation.load(first.data)
        return chain([first], source)


def _done(report: Report[Any], job: Job, image: "Image") -> None:
    tell(_line(job, image), to_stderr=job.target == STANDARD_STREAM)


def _line(job: Job, image: "Image | Product") -> str:
    return f"{show(job.source)} -> {show(job.target)}  {image.width}x{image.height}"
