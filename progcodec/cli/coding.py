"""``encode`` and ``decode``: pictures to .shc files and back. torch is imported once a command runs."""

import io
import os
from typing import TYPE_CHECKING

import click

from progcodec.cli import options
from progcodec.cli.batch import run, say
from progcodec.cli.files import (
    STANDARD_STREAM,
    STREAM_SUFFIX,
    Job,
    check_writable,
    expand,
    plan,
    read_bytes,
    read_stream,
    show,
    stem,
    write_bytes,
)
from progcodec.cli.streams import summary
from progcodec.errors import ImageError
from progcodec.stream import info, truncate

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2"
)
"""What counts as a picture inside a folder. A file that is named itself may have any name."""


@click.command("encode", short_help="Pictures to .shc files.")
@click.argument("inputs", metavar="IMAGE...", nargs=-1, required=True, shell_complete=options.file_names)
@options.output('Output file, or folder for several inputs; "-" is standard output.')
@options.cut(bpp=True)
@click.option("--no-checksums", is_flag=True, help="Save 16 bytes; damage may then pass for picture.")
@options.model
@options.device
@options.max_pixels
@options.force
def encode_command(
    inputs: tuple[str, ...],
    output: str | None,
    max_bytes: int | None,
    bpp: float | None,
    level: str | None,
    no_checksums: bool,
    model: str | None,
    device: str,
    max_pixels: int,
    force: bool,
) -> None:
    """Encode pictures: photo.jpg becomes photo.shc, beside it.

    Reads every format that Pillow reads: the first frame of an animation, upright by its EXIF orientation,
    16-bit grey scaled to 8 bits, transparency laid on white. Writes the whole progressive file, or, with one of
    --bytes, --bpp and --level, a prefix of it.

    \b
    Examples:
      progcodec encode photo.jpg
      progcodec encode photos/ "more/**/*.png" -o streams/
      progcodec encode photo.jpg --bytes 4000 -o small.shc
      progcodec encode - -o - < photo.png > photo.shc
    """
    cut = options.chosen_cut(max_bytes=max_bytes, bpp=bpp, level=level)
    sources, several = expand(inputs, IMAGE_SUFFIXES)
    jobs = plan(sources, several, output, lambda name: stem(name) + STREAM_SUFFIX)

    from progcodec.codec import Codec  # After the checks: wrong usage should not wait for torch.
    from progcodec.image import open_image

    codec = Codec.load(model, device)

    def work(job: Job) -> None:
        check_writable(job.target, force)
        source = read_bytes(job.source) if job.source == STANDARD_STREAM else job.source
        data = codec.encode(open_image(source, max_pixels), checksums=not no_checksums, max_pixels=max_pixels)
        if cut:
            data = truncate(data, **cut)
        write_bytes(job.target, data, force)
        say(summary(job, info(data)), to_stderr=job.target == STANDARD_STREAM)

    run(jobs, work, "encoding")


@click.command("decode", short_help="Files, whole or cut, to pictures.")
@click.argument("inputs", metavar="FILE...", nargs=-1, required=True, shell_complete=options.file_names)
@options.output('Output picture (its suffix tells the format), or folder for several inputs; "-" is standard output.')
@options.cut(bpp=False)
@options.model
@options.device
@options.max_pixels
@options.force
def decode_command(
    inputs: tuple[str, ...],
    output: str | None,
    max_bytes: int | None,
    level: str | None,
    model: str | None,
    device: str,
    max_pixels: int,
    force: bool,
) -> None:
    """Decode .shc files, whole or cut: photo.shc becomes photo.png, beside it.

    With --level or --bytes only a prefix is decoded. The checkpoint is found by the file's own fingerprint among those
    that come with the package; --model names another one. Without a suffix, and on standard output, the picture is PNG.

    \b
    Examples:
      progcodec decode photo.shc
      progcodec decode photo.shc --level coarse -o coarse.jpg
      progcodec decode streams/ -o pictures/
      head -c 3000 photo.shc | progcodec decode - -o preview.png
    """
    cut = options.chosen_cut(max_bytes=max_bytes, level=level)
    sources, several = expand(inputs, [STREAM_SUFFIX])
    jobs = plan(sources, several, output, lambda name: stem(name) + ".png")
    for job in jobs:
        picture_format(job.target)

    from progcodec.api import decode  # After the checks: wrong usage should not wait for torch.

    def work(job: Job) -> None:
        check_writable(job.target, force)
        data = read_stream(job.source)
        image = decode(data, model=model, device=device, max_pixels=max_pixels, **cut)
        write_bytes(job.target, picture_bytes(image, job.target), force)
        line = f"{show(job.source)} -> {show(job.target)}  {image.width}x{image.height}"
        say(line, to_stderr=job.target == STANDARD_STREAM)

    run(jobs, work, "decoding")


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


def picture_bytes(image: "Image", target: str) -> bytes:
    """The file for `image` in the format that `target` asks for; lossy formats at high quality."""
    file = io.BytesIO()
    name = picture_format(target)
    try:
        image.save(file, name, **({"quality": 95} if name in ("JPEG", "WEBP", "AVIF") else {}))
    except Exception as error:  # Formats have limits of their own (WebP: 16,383 pixels), told in many kinds of error.
        raise ImageError(f"the picture cannot be written as {name}: {error}") from error
    return file.getvalue()
