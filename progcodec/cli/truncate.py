"""``truncate``: a prefix of each .shc file. Starts without torch and numpy."""

import os

import click

from progcodec.bitstream.description import info
from progcodec.cli import options
from progcodec.cli.encode import summary
from progcodec.cli.engine import Work, convert
from progcodec.cli.files import STANDARD_STREAM, Job, read_stream
from progcodec.cli.inputs import gather, plan, stem, stream_name
from progcodec.cli.options import Many
from progcodec.files import STREAM_SUFFIX
from progcodec.fleet.operation import Product, Truncate


@click.command("truncate", short_help="Cut .shc files: keep a prefix.")
@options.inputs("FILE...")
@options.output('Output file (.shc), or folder; "-" is standard output.')
@options.cut(required=True)
@options.resume
@options.force
@options.quiet
@options.grouped(many=Many, operation=Truncate)
def truncate_command(many: Many, operation: Truncate) -> None:
    """Cut .shc files: keep a prefix, which decodes as it is.

    `truncate --bytes N` and `head -c N` give the same bytes. A file that is shorter already is
    copied whole. The default output lies beside the input and is named after the cut:
    photo.2000B.shc, photo.0.25bpp.shc, photo.coarse.shc.

    \b
    Examples:
      progcodec truncate photo.shc --bytes 2000
      progcodec truncate photos/ --recursive --level coarse -o small/
      progcodec truncate - --bpp 0.25 < photo.shc > small.shc
    """

    def jobs() -> list[Job]:
        found = gather(many, Truncate.suffixes)
        suffix = f".{operation.cut}{STREAM_SUFFIX}"
        return plan(
            found, many.output, lambda name: stem(name) + suffix, stream_name, in_place=True
        )

    convert(Work(operation, "truncating", jobs, read_stream, _line), many)


def _line(job: Job, product: Product) -> str:
    description = info(product.data)
    line = f"{summary(job, description)}  {description.reached}"
    known = job.source != STANDARD_STREAM and os.path.isfile(job.source)
    same = known and os.path.getsize(job.source) == len(product.data)
    return f"{line}  (nothing was cut)" if same else line
