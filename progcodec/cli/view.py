"""``view``: a page with a slider over a file's bytes. torch is loaded once that is sure."""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from progcodec.bitstream.description import info
from progcodec.cli import options
from progcodec.cli.files import (
    STANDARD_STREAM,
    check_writable,
    open_picture,
    read_stream,
    show,
    write_bytes,
)
from progcodec.cli.inputs import keep_apart
from progcodec.cli.messages import say, steps, tell
from progcodec.errors import ProgcodecError
from progcodec.fleet.classify import Classify

if TYPE_CHECKING:
    from PIL.Image import Image

    from progcodec.viewer.frames import View
    from progcodec.viewer.server import PageServer

ANY_PORT = -1
"""What --serve means without a number."""
MOST_CUTS = 200


@dataclass(frozen=True)
class To:
    """Where the page goes."""

    output: str | None
    port: int | None
    open_it: bool
    force: bool

    def target(self, file: str) -> str | None:
        """The page's file, None where it is only served. Raises OutputError, click.UsageError."""
        target = self.output
        if target is None and self.port is None:
            beside = f"{os.path.splitext(file)[0]}.html"
            target = STANDARD_STREAM if file == STANDARD_STREAM else beside
        if target is not None:
            check_writable(target, self.force)
        if self.open_it and target == STANDARD_STREAM and self.port is None:
            raise click.UsageError("--open needs a file or --serve.")
        return target


@click.command("view", short_help="A page with a slider over a file's bytes.")
@click.argument("file", metavar="FILE", shell_complete=options.file_names)
@options.output('The page\'s file (default: beside FILE, photo.html); "-" is standard output.')
@options.named_file(
    "--original",
    metavar="IMAGE",
    help="The picture that was encoded: shows it too, and the PSNR of every cut.",
)
@click.option(
    "--cuts",
    "count",
    type=click.IntRange(2, MOST_CUTS),
    metavar="N",
    default=24,
    help="How many cuts to show, besides the ends of the levels.",
)
@options.number(
    "--max-side",
    least=16,
    metavar="PIXELS",
    default=960,
    help="Larger pictures are scaled down for the page.",
)
@options.judge
@click.option(
    "--serve",
    "port",
    type=click.IntRange(ANY_PORT, (1 << 16) - 1),
    is_flag=False,
    flag_value=ANY_PORT,
    metavar="[PORT]",
    help="Serve the page on this machine alone, until Ctrl-C (default: port 8000 if it is free).",
)
@click.option("--open", "open_it", is_flag=True, help="Open the page in the browser.")
@options.network
@options.force
@options.quiet
@options.grouped(operation=Classify, to=To)
def view_command(
    file: str, operation: Classify, original: str | None, count: int, max_side: int, to: To
) -> None:
    """Show a .shc file at every cut: photo.shc becomes photo.html, beside it.

    One page, which needs nothing but itself and a browser: a slider over the bytes, the picture
    that they give, the answer at each level with its probability, and where each level's bytes lie.
    With --serve nothing is written unless -o names a file.

    \b
    Examples:
      progcodec view photo.shc
      progcodec view photo.shc --original photo.jpg -o page.html
      progcodec view photo.shc --serve --open
      progcodec view photo.shc --classifier timm:resnet50 --cuts 40
    """
    target = to.target(file)
    hierarchy = operation.hierarchy if isinstance(operation.hierarchy, str) else None
    keep_apart([target], [file, original, hierarchy])
    operation.check()
    data = read_stream(file)
    for prefix in operation.prefixes(data):
        if isinstance(prefix.outcome, Exception):
            raise prefix.outcome
    picture = _original(original, data, operation.max_pixels)
    from progcodec.viewer.page import page

    name = "standard input" if file == STANDARD_STREAM else show(os.path.basename(file))
    with _serving(to, name, target == STANDARD_STREAM) as server:
        made = _view(data, operation, name, picture, count, max_side, server)
        html = page(made)
        if target is not None:
            content = html.encode()
            write_bytes(target, content, to.force)
            size = f"{len(made.frames)} cuts  {len(content):,} bytes"
            tell(f"{show(file)} -> {show(target)}  {size}", to_stderr=target == STANDARD_STREAM)
        if server is not None:
            server.show(html)
        elif to.open_it and target is not None:
            _open(f"file://{os.path.abspath(target)}")


def _original(source: str | None, data: bytes, max_pixels: int | None) -> "Image | None":
    if source is None:
        return None
    from progcodec.viewer.frames import check_original

    picture = open_picture(source, max_pixels)
    check_original(picture, info(data))
    return picture


def _view(
    data: bytes,
    operation: Classify,
    name: str,
    original: "Image | None",
    count: int,
    max_side: int,
    server: "PageServer | None",
) -> "View":
    from progcodec.api import StreamDecoder
    from progcodec.viewer.frames import view
    from progcodec.viewer.page import waiting

    codec, _ = operation.find(data)
    decoder = StreamDecoder(codec=codec, max_pixels=operation.max_pixels)

    def cuts(sizes: Sequence[int]) -> Iterator[int]:
        for ready, size in enumerate(steps(sizes, "decoding", "cut")):
            if server is not None:
                server.show(waiting(name, ready, len(sizes)))
            yield size

    return view(
        data,
        decoder,
        name=name,
        count=count,
        max_side=max_side,
        original=original,
        steps=cuts,
        classifier=operation.judge.name,
        ask=partial(operation.look, decoder),
    )


@contextlib.contextmanager
def _serving(to: To, name: str, to_stderr: bool) -> Iterator["PageServer | None"]:
    """A server at once, with a page that waits; in the end until Ctrl-C. None if not wanted."""
    if to.port is None:
        yield None
        return
    from progcodec.viewer.page import waiting
    from progcodec.viewer.server import PageServer

    with PageServer(waiting(name, 0, 0), None if to.port == ANY_PORT else to.port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        say(f"{server.address}  (Ctrl-C ends it)", to_stderr)
        if to.open_it:
            _open(server.address)
        try:
            yield server
            with contextlib.suppress(KeyboardInterrupt):
                thread.join()
        finally:
            if thread.is_alive():
                server.shutdown()


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        raise ProgcodecError(f"no browser was found to open {address}")
