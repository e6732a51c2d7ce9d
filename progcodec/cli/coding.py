"""``encode`` and ``decode``: pictures to .shc files and back. torch is imported once a command runs."""

import os
from typing import TYPE_CHECKING, Any

import click

from progcodec.bitstream.description import info
from progcodec.cli import options
from progcodec.cli import stdin as arriving
from progcodec.cli.cluster import LOCAL, convert_shards
from progcodec.cli.files import (
    STANDARD_STREAM,
    Job,
    check_writable,
    read_picture,
    read_stream,
    show,
    write_bytes,
)
from progcodec.cli.inputs import gather, plan, stem
from progcodec.cli.many import FileStages, each, work_through
from progcodec.cli.messages import say
from progcodec.cli.streams import summary
from progcodec.files import STREAM_SUFFIX
from progcodec.fleet.cluster import Terms
from progcodec.fleet.operation import Decode, Encode, Product

if TYPE_CHECKING:
    from PIL.Image import Image


@click.command("encode", short_help="Pictures to .shc files.")
@click.argument("inputs", metavar="IMAGE...", nargs=-1, shell_complete=options.file_names)
@options.recursive
@options.from_list
@options.output('Output file, or folder for several inputs; "-" is standard output.')
@options.cut(bpp=True)
@options.quality
@click.option(
    "--no-checksums", is_flag=True, help="Save 16 bytes; damage may then pass for picture."
)
@options.resume
@options.batch
@options.engine
@options.model
@options.device
@options.max_pixels
@options.force
def encode_command(
    inputs: tuple[str, ...],
    recursive: bool,
    listed: str | None,
    output: str | None,
    max_bytes: int | None,
    bpp: float | None,
    level: str | None,
    quality: int,
    no_checksums: bool,
    resume: bool,
    batch: int,
    engine: str,
    model: str | None,
    device: str,
    max_pixels: int,
    force: bool,
) -> None:
    """Encode pictures: photo.jpg becomes photo.shc, beside it.

    Reads every format that Pillow reads: the first frame of an animation, upright by its EXIF orientation,
    16-bit grey scaled to 8 bits, transparency laid on white. Writes the whole progressive file, or, with one of
    --bytes, --bpp and --level, a prefix of it. --quality makes all of the file finer (and longer) or coarser; any cut of
    it decodes just as well. Where a file is too long, cutting it is the other way.

    \b
    Examples:
      progcodec encode photo.jpg
      progcodec encode photos/ "more/**/*.png" -o streams/
      progcodec encode photos/ --recursive --resume -o streams/
      find photos/ -name "*.jpg" -print0 | progcodec encode --from-list - --recursive -o streams/
      progcodec encode "s3://pictures/*.tar" -o s3://streams --engine ray --resume
      progcodec encode photo.jpg --bytes 4000 -o small.shc
      progcodec encode photo.jpg --quality 3 -o fine.shc
      progcodec encode - -o - < photo.png > photo.shc
    """
    cut = options.chosen_cut(max_bytes=max_bytes, bpp=bpp, level=level)
    operation = Encode(model, device, not no_checksums, cut, max_pixels, quality)
    if engine != LOCAL:
        return convert_shards(
            engine, inputs, listed, output, operation, "encoding", Terms(batch, resume, force)
        )
    found = gather(inputs, Encode.suffixes, recursive=recursive, listed=listed)
    jobs = plan(found, output, lambda name: stem(name) + STREAM_SUFFIX)

    def tell(job: Job, product: Product) -> None:
        say(summary(job, info(product.data)), to_stderr=job.target == STANDARD_STREAM)

    operation.codec  # noqa: B018 - a model that is not there is told once, not for each file
    stages = FileStages(
        operation, lambda source: read_picture(source, max_pixels), force=force, resume=resume
    )
    work_through(jobs, stages, operation, "encoding", batch, tell)


@click.command("decode", short_help="Files, whole or cut, to pictures.")
@click.argument("inputs", metavar="FILE...", nargs=-1, shell_complete=options.file_names)
@options.recursive
@options.from_list
@options.output(
    'Output picture (its suffix tells the format), or folder for several inputs; "-" is standard output.'
)
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
@options.model
@options.device
@options.max_pixels
@options.force
def decode_command(
    inputs: tuple[str, ...],
    recursive: bool,
    listed: str | None,
    output: str | None,
    max_bytes: int | None,
    level: str | None,
    region: tuple[int, int, int, int] | None,
    follow: bool,
    every: float,
    resume: bool,
    batch: int,
    engine: str,
    model: str | None,
    device: str,
    max_pixels: int,
    force: bool,
) -> None:
    """Decode .shc files, whole or cut: photo.shc becomes photo.png, beside it.

    With --level or --bytes only a prefix is decoded, with --region only a part is drawn. The checkpoint is found by the
    file's own fingerprint among those that come with the package; --model names another one. Without a suffix, and on
    standard output, the picture is PNG.

    Standard input (-) is decoded while it arrives, and read no further than --level or --bytes need. With --follow the
    output always holds a whole picture, of the bytes so far.

    \b
    Examples:
      progcodec decode photo.shc
      progcodec decode photo.shc --level coarse -o coarse.jpg
      progcodec decode huge.shc --region 4000,2500,1024,768 -o detail.png
      progcodec decode streams/ -o pictures/
      head -c 3000 photo.shc | progcodec decode - -o preview.png
      ssh camera cat photo.shc | progcodec decode - --follow -o preview.png
    """
    cut = options.chosen_cut(max_bytes=max_bytes, level=level)
    if engine != LOCAL:
        operation = Decode(model, device, cut, "PNG", max_pixels, region)
        return convert_shards(
            engine, inputs, listed, output, operation, "decoding", Terms(batch, resume, force)
        )
    found = gather(inputs, Decode.suffixes, recursive=recursive, listed=listed)
    jobs = plan(found, output, lambda name: stem(name) + Decode.suffix)
    for job in jobs:
        picture_format(job.target)
    if follow and [(job.source, job.target == STANDARD_STREAM) for job in jobs] != [
        (STANDARD_STREAM, False)
    ]:
        raise click.UsageError("--follow is for - alone, with -o FILE.")
    if follow and region:
        raise click.UsageError("--follow shows whole pictures, without --region.")

    if found.paths != [STANDARD_STREAM] or region:
        form = picture_format(jobs[0].target) if jobs else "PNG"
        operation = Decode(model, device, cut, form, max_pixels, region)

        def tell(job: Job, product: Product) -> None:
            say(_line(job, product), to_stderr=job.target == STANDARD_STREAM)

        stages = FileStages(operation, read_stream, force=force, resume=resume)
        work_through(jobs, stages, operation, "decoding", batch, tell)
        return

    def decode_arriving(job: Job) -> None:
        from progcodec.api import StreamDecoder
        from progcodec.image import picture_file

        check_writable(job.target, force)
        form = picture_format(job.target)
        decoder = StreamDecoder(model=model, device=device, level=level, max_pixels=max_pixels)

        def show_so_far(image: "Image") -> None:
            write_bytes(
                job.target, picture_file(image, form), force=True
            )  # Checked before the first byte.
            say(f"{_line(job, image)}  {decoder.size:,} bytes")

        interim: dict[str, Any] = {"every": every, "show": show_so_far} if follow else {}
        source = arriving.pieces((every or None) if follow else None)
        image = arriving.picture(source, decoder, max_bytes=max_bytes, **interim)
        write_bytes(job.target, picture_file(image, form), force or follow)
        say(_line(job, image), to_stderr=job.target == STANDARD_STREAM)

    each(jobs, decode_arriving, "decoding")


def _line(job: Job, image: "Image | Product") -> str:
    return f"{show(job.source)} -> {show(job.target)}  {image.width}x{image.height}"


def picture_format(target: str) -> str:
    """Pillow's name of the format that `target` asks for. Raises click.UsageError if none."""
    from PIL import Image

    suffix = "" if target == STANDARD_STREAM else os.path.splitext(target)[1].lower()
    if not suffix:
        return "PNG"
    name = Image.registered_extensions().get(suffix)
    if name not in Image.SAVE:
        raise click.UsageError(f"{show(target)}: pictures cannot be written as {suffix}.")
    return name
