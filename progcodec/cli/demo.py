"""``demo``: a contact sheet of one picture at several cuts."""

import click

from progcodec import assets
from progcodec.cli import options
from progcodec.cli.decode import picture_format
from progcodec.cli.files import STANDARD_STREAM, check_writable, open_picture, show, write_bytes
from progcodec.cli.inputs import keep_apart
from progcodec.cli.messages import steps, tell


@click.command("demo", short_help="One photograph at eight cuts, in one picture.")
@click.argument("image", metavar="[IMAGE]", required=False, shell_complete=options.file_names)
@options.output("The sheet's file; its suffix tells the format.", default="contact-sheet.png")
@options.network
@options.force
@options.quiet
def demo_command(
    image: str | None, output: str, model: str | None, device: str, max_pixels: int, force: bool
) -> None:
    """Show it: encode one photograph, cut the file at eight lengths, decode each cut.

    Writes a contact sheet with the original and the eight pictures, and prints what each cut took
    and gave. Without IMAGE it takes a photograph that comes with the package.

    \b
    Examples:
      progcodec demo
      progcodec demo holiday.jpg -o holiday-sheet.jpg
    """
    form = picture_format(output)
    keep_apart([output], [image])
    check_writable(output, force)
    assets.check(model)
    from progcodec.viewer import demo

    picture = demo.photograph() if image is None else open_picture(image, max_pixels)
    from progcodec.api import StreamDecoder
    from progcodec.codec.codec import Codec
    from progcodec.image import picture_file
    from progcodec.viewer.frames import looks

    codec = Codec.load(model, device)
    data = codec.encode(picture, max_pixels=max_pixels)
    cuts = steps(demo.cuts(data), "decoding", "cut")
    taken = list(looks(data, StreamDecoder(codec=codec, max_pixels=None), cuts, picture))
    sheet = demo.contact_sheet(picture, taken, "" if image else demo.CREDIT)
    write_bytes(output, picture_file(sheet, form), force)
    to_stderr = output == STANDARD_STREAM
    tell(demo.table(taken), to_stderr)
    tell(f"wrote {show(output)}", to_stderr)
