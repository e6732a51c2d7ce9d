"""``demo``: a contact sheet of one picture at several cuts."""

import io

import click

from progcodec.cli import options
from progcodec.cli.files import STANDARD_STREAM, check_writable, read_bytes, show, write_bytes
from progcodec.cli.messages import say


@click.command("demo", short_help="One photograph at eight cuts, in one picture.")
@click.argument("image", metavar="[IMAGE]", required=False, shell_complete=options.file_names)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    default="contact-sheet.png",
    show_default=True,
    shell_complete=options.file_names,
    help="The sheet's file (PNG).",
)
@options.network
@options.force
def demo_command(
    image: str | None, output: str, model: str | None, device: str, max_pixels: int, force: bool
) -> None:
    """Show it: encode one photograph, cut the file at eight lengths, decode each cut.

    Writes a contact sheet with the original and the eight pictures, and prints what each cut took and gave. Without
    IMAGE it takes a photograph that comes with the package.

    \b
    Examples:
      progcodec demo
      progcodec demo holiday.jpg -o holiday-sheet.png
    """
    check_writable(output, force)
    from progcodec.codec.codec import Codec
    from progcodec.image import open_image
    from progcodec.viewer import demo

    if image is None:
        picture = demo.photograph()
    else:
        picture = open_image(read_bytes(image) if image == STANDARD_STREAM else image, max_pixels)
    codec = Codec.load(model, device)
    data = codec.encode(picture, max_pixels=max_pixels)
    taken = list(demo.shots(codec, picture, data, demo.cuts(data)))
    file = io.BytesIO()
    demo.contact_sheet(picture, taken, "" if image else demo.CREDIT).save(file, "PNG")
    write_bytes(output, file.getvalue(), force)
    to_stderr = output == STANDARD_STREAM
    say(demo.table(taken), to_stderr)
    say(f"wrote {show(output)}", to_stderr)
