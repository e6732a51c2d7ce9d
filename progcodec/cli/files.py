"""What goes in and what comes out: bytes read, written whole or not at all."""

import contextlib
import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import click

from progcodec.bitstream.container import HEADER_ROOM, MAGIC, parse, parse_header, starts_stream
from progcodec.errors import ImageError, LimitError, NotShcError, ProgcodecError
from progcodec.files import open_plain, write_whole
from progcodec.names import shows

if TYPE_CHECKING:
    from PIL.Image import Image

STANDARD_STREAM = "-"
PIECE = 1 << 20
FILE_BYTES_PER_PIXEL, FILE_BYTES = 16, 1 << 26
"""Bounds on a picture's file: four channels of 32 bits, and what is said beside them."""
SIGNED = 1024
"""Bytes in which our pages and files of weights name this program."""


class OutputError(ProgcodecError):
    """An output cannot be written, or must not be."""


class StdoutError(OutputError):
    """Standard output takes no more."""


class Job(NamedTuple):
    """One input and where its result goes; either may be ``"-"``.

    Attributes:
        named: whether a person named the target itself, rather than a folder for it.
        fault: why it cannot be done; "" if it can.
    """

    source: str
    target: str
    named: bool = False
    fault: str = ""


def read_stream(source: str) -> bytes:
    """All of a file or of standard input; what does not start as a stream is refused early."""
    with _open(source) as file:
        start = file.read(HEADER_ROOM)
        parse_header(start, max_pixels=None)
        return _rest_of_stream(file, start)


def read_picture(source: str, max_pixels: int | None) -> bytes:
    """As :func:`read_stream`, for pictures within the limit."""
    from progcodec.image import check_picture

    with _open(source) as file:
        if file.seekable():
            check_picture(file, max_pixels)
            file.seek(0)
        return _within(file, max_pixels)


def read_stream_or_picture(source: str, max_pixels: int | None) -> bytes:
    """As :func:`read_stream`: what starts as neither is refused before all of it is read."""
    with _open(source) as file:
        start = file.read(HEADER_ROOM)
        if starts_stream(start):
            parse_header(start, max_pixels=None)
            return _rest_of_stream(file, start)
        if file.seekable():
            from progcodec.image import check_picture

            file.seek(0)
            try:
                check_picture(file, max_pixels)
            except ImageError as error:
                raise NotShcError(f"neither a .shc stream nor a picture: {error}") from None
            file.seek(len(start))
        return start + _within(file, max_pixels)


def open_picture(source: str, max_pixels: int | None) -> "Image":
    """The picture of a file or of standard input. Raises ImageError, LimitError, OSError."""
    from progcodec.image import open_image

    try:
        return open_image(read_picture(source, max_pixels), max_pixels)
    except ProgcodecError as error:
        raise type(error)(f"{show(source)}: {error}") from error


def read_until(file: BinaryIO, most: int) -> bytes:
    """All of a file, or a little more than ``most`` bytes of one that is longer."""
    data = bytearray()
    while len(data) <= most and (piece := file.read(PIECE)):
        data += piece
    return bytes(data)


def check_writable(target: str, force: bool, named: bool = True) -> None:
    """Refuse early what :func:`write_bytes` would refuse after the work. Raises OutputError."""
    if target == STANDARD_STREAM:
        if sys.stdout is not None and sys.stdout.isatty() and not force:
            raise OutputError("bytes do not go to a terminal without --force; use -o or redirect")
    elif not force and os.path.lexists(target) and not (named and is_device(target)):
        raise _exists(target)


def write_bytes(
    target: str,
    data: bytes,
    force: bool,
    before_rename: Callable[[], None] | None = None,
    named: bool = True,
) -> None:
    """Write all of `data` or nothing. Raises OutputError.

    A target that a person `named` may be a device or a pipe, which is written directly, or a link
    to a file, which is followed. Any other is a file, and replaces what is no file.

    `before_rename` is called before a file shows under its name, as :func:`write_whole` tells.
    """
    check_writable(target, force, named)
    if target == STANDARD_STREAM:
        write_stdout(data)
        return
    try:
        if named and is_device(target):
            # Replacing /dev/null by a file would be a bad surprise.
            with open(target, "wb") as device:
                device.write(data)
        else:
            path = os.path.realpath(target) if named and os.path.isfile(target) else target
            write_whole(path, data, before_rename, replace=force)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(target):
            raise _exists(target) from None  # another made it meanwhile
        raise OutputError(f"cannot write {show(target)}: {error.strerror or error}") from error


def write_stdout(data: bytes) -> None:
    """Write to standard output and make sure that it arrived. Raises StdoutError."""
    if sys.stdout is None:
        raise StdoutError("standard output is closed")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except (OSError, ValueError) as error:
        _abandon_stdout()
        raise StdoutError(
            f"standard output: {getattr(error, 'strerror', None) or error}"
        ) from error


def is_device(target: str) -> bool:
    """Whether something is there that is written to as it is: a device, a pipe; also a folder."""
    try:
        return not stat.S_ISREG(os.stat(target).st_mode)
    except OSError:
        return False


def show(name: str) -> str:
    """A file name for one line of a terminal: no control characters, no undecodable bytes."""
    printable = click.format_filename(name)
    return "".join(c if shows(c) else c.encode("unicode_escape").decode() for c in printable)


def _rest_of_stream(file: BinaryIO, start: bytes) -> bytes:
    """All of a stream. Raises CorruptError where it goes on beyond its end, before its reading
    does.
    """
    data, checked = bytearray(start), PIECE
    while piece := file.read(PIECE):
        data += piece
        if len(data) > checked:
            parse(bytes(data), max_pixels=None)
            checked = 2 * len(data)
    return bytes(data)


def _within(file: BinaryIO, max_pixels: int | None) -> bytes:
    """What is left of a picture's file. Raises LimitError where no picture within the limit is so
    long.
    """
    if max_pixels is None:
        return file.read()
    most = FILE_BYTES_PER_PIXEL * max_pixels + FILE_BYTES
    data = read_until(file, most)
    if len(data) > most:
        raise LimitError(f"more than {most:,} bytes are no picture of {max_pixels:,} pixels")
    return data


def _open(source: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if os.path.isdir(source):
        os.listdir(source)  # one that cannot be read says so
        raise ProgcodecError("no fitting files in this folder")
    if source != STANDARD_STREAM:
        return open(source, "rb")
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def _abandon_stdout() -> None:
    """Point the broken stream to nowhere, or Python would complain at exit once more."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _exists(target: str) -> OutputError:
    # A picture may be the very original of what would replace it: of that, no word of force.
    hint = "--force overwrites it" if _is_ours(target) else "choose another name with -o"
    return OutputError(f"{show(target)} exists; {hint}")


def _is_ours(target: str) -> bool:
    """Whether a file starts as an output of this program: a stream, a page, weights."""
    with contextlib.suppress(OSError), open_plain(os.path.realpath(target)) as file:
        start = file.read(SIGNED)
        return start.startswith(MAGIC) or b"progcodec" in start
    return False
