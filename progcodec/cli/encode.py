"""``encode``: pictures to .shc files. torch is loaded once one of them is ready for it."""

import math
import os
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import click

from progcodec.bitstream.description import StreamInfo, info
from progcodec.cli import options
from progcodec.cli.engine import Work, convert
from progcodec.cli.files import STANDARD_STREAM, Job, read_picture, show
from progcodec.cli.inputs import gather, plan, stem, stream_name
from progcodec.cli.messages import tell
from progcodec.cli.options import Many
from progcodec.cli.report import Report
from progcodec.files import STREAM_SUFFIX
from progcodec.fleet.operation import Encode, Product


@click.command("encode", short_help="Pictures to .shc files.")
@options.inputs("IMAGE...")
@options.output('Output file (.shc), or folder; "-" is standard output.')
@options.cut()
@options.quality
@options.psnr
@click.option(
    "--no-checksums",
    "checksums",
    is_flag=True,
    callback=lambda context, parameter, given: not given,
    help="Save 16 bytes; damage may then pass for picture.",
)
@options.work
@options.grouped(many=Many, operation=Encode)
def encode_command(many: Many, operation: Encode) -> None:
    """Encode pictures: photo.jpg becomes photo.shc, beside it.

    Reads every format that Pillow reads: the first frame of an animation, upright by its EXIF
    orientation, 16-bit grey scaled to 8 bits, transparency laid on white. Writes the whole
    progressive file, or, with one of --bytes, --bpp and --level, a prefix of it. --quality makes
    all of the file finer (and longer) or coarser; any cut of it decodes just as well. Where a file
    is too long, cutting it is the other way. --psnr finds the quality.

    \b
    Examples:
      progcodec encode photo.jpg
      progcodec encode photos/ "more/**/*.png" -o streams/
      progcodec encode photos/ --recursive --resume -o streams/
      find photos/ -name "*.jpg" -print0 | progcodec encode --from-list - --recursive -o streams/
      progcodec encode "s3://pictures/*.tar" -o s3://streams --engine ray --resume
      progcodec encode photo.jpg --bytes 4000 -o small.shc
      progcodec encode photo.jpg --quality 3 -o fine.shc
      progcodec encode photo.jpg --psnr 36
      progcodec encode - -o - < photo.png > photo.shc
    """
    psnr = operation.psnr
    if psnr is not None and (operation.cut or operation.quality or not math.isfinite(psnr)):
        raise click.UsageError(
            "--psnr, a number of dB, is of the whole file and chooses its quality:"
            " without --quality, --bytes, --bpp and --level."
        )
    lines = _Lines(told_quality=psnr is not None, whole=not operation.cut)

    def jobs() -> list[Job]:
        found = gather(many, Encode.suffixes)
        lines.left_out(found.left_out)
        return plan(found, many.output, lambda name: stem(name) + STREAM_SUFFIX, stream_name)

    read = partial(read_picture, max_pixels=operation.max_pixels)
    convert(Work(operation, "encoding", jobs, read, lines.line, lines.larger_ones), many)


def summary(job: Job, description: StreamInfo) -> str:
    """``photo.jpg -> photo.shc  12,345 bytes  0.361 bpp``"""
    names = f"{show(job.source)} -> {show(job.target)}"
    return f"{names}  {description.file_bytes:,} bytes  {description.bits_per_pixel:.3f} bpp"


@dataclass
class _Lines:
    """What is said of each stream, and at the end of those that are larger than their sources."""

    told_quality: bool
    whole: bool
    larger: list[tuple[Job, int, int]] = field(default_factory=list)

    def line(self, job: Job, product: Product) -> str:
        description = info(product.data)
        if self.whole and job.source != STANDARD_STREAM and os.path.isfile(job.source):
            source, own = os.path.getsize(job.source), len(product.data)
            if own > source:
                self.larger.append((job, own, source))
        quality = f"  quality {description.quality:+d}" if self.told_quality else ""
        return summary(job, description) + quality

    def left_out(self, counts: Counter[str]) -> None:
        """Says what folders hold besides pictures: those of a kind that is not known, perhaps."""
        kinds = {name or "no suffix": n for name, n in counts.items() if name != STREAM_SUFFIX}
        if kinds:
            listed = ", ".join(f"{show(name)} {n:,}" for name, n in sorted(kinds.items()))
            tell(f"note: not taken for pictures, by their suffix: {listed}", to_stderr=True)

    def larger_ones(self, report: Report) -> None:
        if not self.larger:
            return
        job, own, source = self.larger[0]
        which = f"{show(job.target)} ({own:,} bytes) is larger than {show(job.source)} ({source:,})"
        if len(self.larger) > 1:
            which = f"{len(self.larger):,} streams are larger than their sources: {which}, for one"
        kept = "Drawings, screenshots and small pictures are better kept as they are"
        tell(f"note: {which}. {kept}; --quality and --bytes make streams smaller.", to_stderr=True)
