"""The lines that commands print: about outputs, errors, progress."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from progcodec.cli.files import STANDARD_STREAM, show, write_stdout
from progcodec.errors import ProgcodecError, in_one_line

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

EXPECTED_ERRORS = (ProgcodecError, OSError, MemoryError)
"""What a user can run into without a mistake of ours: told in one line, without a traceback."""
QUIET = "progcodec.quiet"
"""Where a command's context keeps whether ``--quiet`` was given."""


def expected(error: BaseException) -> bool:
    """Whether an error is told in one line: an expected one, or torch out of memory."""
    return isinstance(error, EXPECTED_ERRORS) or _out_of_memory(error)


def say(line: str, to_stderr: bool = False) -> None:
    """Print a line; to stderr when an output itself took standard output."""
    with _bar_hidden():
        if to_stderr:
            click.echo(line, err=True)
        else:
            write_stdout(line_bytes(line))


def line_bytes(line: str) -> bytes:
    """A line for a pipe or a file. Names of files that are no text keep their bytes."""
    try:
        return f"{line}\n".encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return f"{line}\n".encode(errors="replace")


def tell(line: str, to_stderr: bool = False) -> None:
    """As :func:`say`, for a line about an output, which ``--quiet`` keeps back."""
    if not _quiet():
        say(line, to_stderr)


def complain(name: str | None, why: str) -> None:
    """The one line of an error: ``progcodec: NAME: reason``."""
    subject = ""
    if name is not None:
        subject = "standard input: " if name == STANDARD_STREAM else f"{show(name)}: "
    with _bar_hidden(), contextlib.suppress(OSError, ValueError):
        click.echo(f"progcodec: {subject}{show(why)}", err=True)


def reason(error: BaseException, subject: str | None = None) -> str:
    """One line for an error, without the file that an OSError names if it is the `subject`."""
    if isinstance(error, OSError) and error.strerror:
        named = error.filename is not None and error.filename != subject
        return f"{show(os.fsdecode(error.filename))}: {error.strerror}" if named else error.strerror
    if isinstance(error, MemoryError) or _out_of_memory(error):
        return "not enough memory"
    return in_one_line(error)


def progress_bar(total: int, verb: str, unit: str = "file") -> "tqdm[Any] | None":
    """A bar on stderr where there are several inputs, and on a terminal only. To be closed."""
    if total < 2 or _quiet() or sys.stderr is None or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm(total=total, desc=verb, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)


def steps(items: Sequence[T], verb: str, unit: str) -> Iterator[T]:
    """The same, with a bar."""
    bar = progress_bar(len(items), verb, unit)
    with bar or contextlib.nullcontext():
        for item in items:
            yield item
            if bar is not None:
                bar.update()


def terminal_width() -> int | None:
    """Columns of the terminal, or what COLUMNS says; None where neither is."""
    shown = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if shown or os.environ.get("COLUMNS") else None


def _quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


def _out_of_memory(error: BaseException) -> bool:
    # torch has no common class for it: OutOfMemoryError on a GPU, a plain RuntimeError on the CPU,
    # or oneDNN's. A thread that has no room for its stack is Python's; a library that has none for
    # its code, the system's.
    told = (
        "(out of|enough|allocate) memory|could not create a primitive|can't start new thread"
        "|failed to map segment"
    )
    kinds = RuntimeError, ImportError
    return isinstance(error, kinds) and bool(re.search(told, str(error).lower()))


def _bar_hidden() -> contextlib.AbstractContextManager[None]:
    tqdm = sys.modules.get("tqdm")
    if tqdm is None or sys.stderr is None or not sys.stderr.isatty():
        return contextlib.nullcontext()
    hidden: contextlib.AbstractContextManager[None] = tqdm.tqdm.external_write_mode(file=sys.stderr)
    return hidden
