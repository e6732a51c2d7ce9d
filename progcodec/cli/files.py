"""What goes in and what comes out: inputs expanded, outputs named, bytes written whole or not at all."""

import contextlib
import glob
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

import click

from progcodec.bitstream.container import HEADER_ROOM, parse_header
from progcodec.errors import ProgcodecError

STANDARD_STREAM = "-"
STREAM_SUFFIX = ".shc"


class OutputError(ProgcodecError):
    """An output cannot be written, or must not be."""


class StdoutError(OutputError):
    """Standard output takes no more."""


class Job(NamedTuple):
    """One input and where its result goes; either may be ``"-"``."""

    source: str
    target: str


def expand(inputs: Iterable[str], suffixes: Iterable[str]) -> tuple[list[str], bool]:
    """Input files in order, each once, and whether the inputs *could* have meant several.

    A glob stands for what it matches, a folder for the files directly inside that have one of the `suffixes`. What
    cannot be expanded (a missing file, a folder without fitting files) stays as it is, and fails when it is read.
    """
    names: list[str] = []
    several = False
    for name in inputs:
        matches = [name]
        if name != STANDARD_STREAM and not os.path.lexists(name) and glob.has_magic(name):
            matches = sorted(glob.glob(name, recursive=True)) or [name]
            several = True
        for match in matches:
            if os.path.isdir(match):
                several = True
                names += _inside(match, tuple(suffixes)) or [match]
            else:
                names.append(match)
    unique = list({_identity(name): name for name in reversed(names)}.values())[::-1]
    return unique, several or len(unique) > 1


def plan(sources: list[str], several: bool, output: str | None, rename: Callable[[str], str]) -> list[Job]:
    """Where each source's result goes; `rename` makes a result's file name of a source's.

    Raises click.UsageError if two results would get one name, or a result the name of another input.
    """
    if several and output is not None:
        if output == STANDARD_STREAM:
            raise click.UsageError("several inputs cannot go to one standard output; give -o a folder.")
        if os.path.lexists(output) and not os.path.isdir(output):
            raise click.UsageError(f"several inputs need a folder to go to, and {show(output)} is none.")
    jobs = [Job(source, _target(source, several, output, rename)) for source in sources]

    inputs = {_identity(source) for source in sources if source != STANDARD_STREAM}
    taken: dict[str, str] = {}
    for source, target in jobs:
        if target == STANDARD_STREAM:
            continue
        identity = _identity(target)
        if identity in taken:
            both = f"{show(taken[identity])} and {show(source)}"
            raise click.UsageError(f"{both} would both be written to {show(target)}.")
        if identity in inputs and len(jobs) > 1:
            raise click.UsageError(f"{show(target)} is both an input and an output.")
        taken[identity] = source
    return jobs


def read_bytes(source: str) -> bytes:
    """All of a file, or of standard input."""
    with _open(source) as file:
        return file.read()


def read_stream(source: str) -> bytes:
    """As :func:`read_bytes`, but what does not start as a .shc stream is refused before all of it is read."""
    with _open(source) as file:
        start = file.read(HEADER_ROOM)
        parse_header(start, max_pixels=None)
        return start + file.read()


def check_writable(target: str, force: bool) -> None:
    """Refuse early what :func:`write_bytes` would refuse after the work. Raises OutputError."""
    if target == STANDARD_STREAM:
        if sys.stdout is not None and sys.stdout.isatty() and not force:
            raise OutputError("bytes do not go to a terminal without --force; use -o or redirect")
    elif not force and os.path.isfile(target):
        raise OutputError(f"{show(target)} exists; --force overwrites it")


def write_bytes(target: str, data: bytes, force: bool) -> None:
    """Write all of `data` or nothing. A link is followed, a device or pipe written directly. Raises OutputError."""
    check_writable(target, force)
    if target == STANDARD_STREAM:
        write_stdout(data)
        return
    try:
        if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
            with open(target, "wb") as device:  # Replacing /dev/null by a file would be a bad surprise.
                device.write(data)
        else:
            _write_sibling(os.path.realpath(target), data)
    except OSError as error:
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
        raise StdoutError(f"standard output: {getattr(error, 'strerror', None) or error}") from error


def show(name: str) -> str:
    """A file name for one line of a terminal: no control characters, no undecodable bytes."""
    printable = click.format_filename(name)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in printable)


def stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _open(source: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if source != STANDARD_STREAM:
        return open(source, "rb")
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def _inside(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    fitting = [name for name in entries if name.lower().endswith(suffixes) and not name.startswith(".")]
    return [path for path in (os.path.join(folder, name) for name in fitting) if os.path.isfile(path)]


def _identity(name: str) -> str:
    return name if name == STANDARD_STREAM else os.path.realpath(name)


def _target(source: str, several: bool, output: str | None, rename: Callable[[str], str]) -> str:
    name = rename("stdin" if source == STANDARD_STREAM else os.path.basename(source))
    if output is None:
        return STANDARD_STREAM if source == STANDARD_STREAM else os.path.join(os.path.dirname(source), name)
    if several or os.path.isdir(output) or output.endswith(("/", os.sep)):
        return os.path.join(output, name)
    return output


def _write_sibling(path: str, data: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".progcodec-{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        if os.path.exists(path):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too must not leave a stray file.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _abandon_stdout() -> None:
    """Point the broken stream to nowhere, or Python would complain once more when it flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
