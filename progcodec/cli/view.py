"""``view``: a page with a slider over the bytes of a file. torch is imported once the command runs."""

import contextlib
import os
from typing import TYPE_CHECKING, Any

import click

from progcodec.cli import options
from progcodec.cli.files import STANDARD_STREAM, check_writable, read_stream, show, write_bytes
from progcodec.cli.messages import say, steps
from progcodec.errors import ProgcodecError

if TYPE_CHECKING:
    from progcodec.classification.answer import Answer

ANY_PORT = -1
"""What --serve means without a number."""
MOST_CUTS = 200


class _Port(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    name = "port"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        text = str(value)
        if text != str(ANY_PORT) and not (
            text.isascii() and text.isdigit() and int(text) < 1 << 16
        ):
            self.fail(
                f"{text!r} is no port. The file stands before it: view FILE --serve [PORT].",
                parameter,
                context,
            )
        return int(text)


@click.command("view", short_help="A page with a slider over a file's bytes.")
@click.argument("file", metavar="FILE", shell_complete=options.file_names)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    shell_complete=options.file_names,
    help='The page\'s file (default: beside FILE, photo.html); "-" is standard output.',
)
@click.option(
    "--original",
    metavar="IMAGE",
    shell_complete=options.file_names,
    help="The picture that was encoded: shows it too, and the PSNR of every cut.",
)
@click.option(
    "--cuts",
    "count",
    type=click.IntRange(2, MOST_CUTS),
    metavar="N",
    default=24,
    show_default=True,
    help="How many cuts to show, besides the ends of the levels.",
)
@click.option(
    "--max-side",
    type=click.IntRange(min=16),
    metavar="PIXELS",
    default=960,
    show_default=True,
    help="Larger pictures are scaled down for the page.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    metavar="P",
    default=0.5,
    show_default=True,
    help="The probability from which a level counts as sure.",
)
@click.option(
    "--classifier",
    metavar="C",
    help="builtin (the default), timm:NAME or torchvision:NAME, as for classify.",
)
@click.option(
    "--hierarchy",
    metavar="FILE",
    shell_complete=options.file_names,
    help="The classifier's classes in groups of your own.",
)
@click.option(
    "--serve",
    "port",
    type=_Port(),
    is_flag=False,
    flag_value=str(ANY_PORT),
    metavar="[PORT]",
    help="Serve the page on this machine alone, until Ctrl-C (default: port 8000 if it is free).",
)
@click.option("--open", "open_it", is_flag=True, help="Open the page in the browser.")
@options.network
@options.force
def view_command(
    file: str,
    output: str | None,
    original: str | None,
    count: int,
    max_side: int,
    confidence: float,
    classifier: str | None,
    hierarchy: str | None,
    port: int | None,
    open_it: bool,
    model: str | None,
    device: str,
    max_pixels: int,
    force: bool,
) -> None:
    """Show a .shc file at every cut: photo.shc becomes photo.html, beside it.

    One page, which needs nothing but itself and a browser: a slider over the bytes, the picture that they give, the
    answer at each level with its probability, and where each level's bytes lie. With --serve nothing is written unless
    -o names a file.

    \b
    Examples:
      progcodec view photo.shc
      progcodec view photo.shc --original photo.jpg -o page.html
      progcodec view photo.shc --serve --open
      progcodec view photo.shc --classifier timm:resnet50 --cuts 40
    """
    serves = port is not None
    target = output if output is not None or serves else _beside(file)
    if target is not None:
        check_writable(target, force)
    if open_it and target == STANDARD_STREAM and not serves:
        raise click.UsageError("--open needs a file or --serve.")
    data = read_stream(file)

    from progcodec.api import StreamDecoder
    from progcodec.classification.api import cached_classifier
    from progcodec.classification.classifier import check_fit
    from progcodec.codec.loaded import codec_for
    from progcodec.hierarchy.hierarchy import Hierarchy
    from progcodec.viewer.frames import view
    from progcodec.viewer.page import page

    tree = Hierarchy.load(hierarchy)
    picture = None
    if original is not None:
        from progcodec.image import open_image

        picture = open_image(original, max_pixels)
    codec = codec_for(data, model=model, device=device, max_pixels=max_pixels)
    decoder = StreamDecoder(codec=codec, max_pixels=max_pixels)
    judge = cached_classifier(classifier, device)
    check_fit(judge, tree)

    def ask() -> "Answer":
        return decoder.classify(classifier=judge, hierarchy=tree, confidence=confidence, top=0)

    name = "standard input" if file == STANDARD_STREAM else show(os.path.basename(file))
    shown = view(
        data,
        decoder,
        name=name,
        count=count,
        max_side=max_side,
        original=picture,
        steps=lambda sizes: steps(sizes, "decoding", "cut"),
        classifier=judge.name,
        ask=ask,
    )
    html = page(shown)
    if target is not None:
        write_bytes(target, html.encode(), force)
        line = f"{show(file)} -> {show(target)}  {len(shown.frames)} cuts  {len(html.encode()):,} bytes"
        say(line, to_stderr=target == STANDARD_STREAM)
    if serves:
        _serve(
            html, None if port == ANY_PORT else port, open_it, to_stderr=target == STANDARD_STREAM
        )
    elif open_it and target is not None:
        _open(f"file://{os.path.abspath(target)}")


def _beside(file: str) -> str:
    return STANDARD_STREAM if file == STANDARD_STREAM else f"{os.path.splitext(file)[0]}.html"


def _serve(html: str, port: int | None, open_it: bool, to_stderr: bool) -> None:
    from progcodec.viewer.server import PageServer

    with PageServer(html, port) as server:
        say(f"{server.address}  (Ctrl-C ends it)", to_stderr)
        if open_it:
            _open(server.address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        raise ProgcodecError(f"no browser was found to open {address}")
