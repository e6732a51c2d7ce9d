"""Which files a command works on, and where their results go."""

import glob
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import click

from progcodec.cli.files import STANDARD_STREAM, Job, is_device, read_until, show
from progcodec.cli.options import Many
from progcodec.files import PICTURE_SUFFIXES, STREAM_SUFFIX, text_of

LIST_MAX = 1 << 28
"""Bytes of a list of names."""


class Found(NamedTuple):
    """An input file, and its name below an output folder, with the folders that are kept."""

    path: str
    below: str


class Inputs(NamedTuple):
    """Input files in order, each once.

    Attributes:
        several: whether what was asked for *could* have meant several.
        left_out: how many files of each other suffix folders hold.
    """

    found: list[Found]
    several: bool
    left_out: Counter[str]

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.found]


def gather(many: Many, suffixes: Iterable[str], otherwise: Iterable[str] = ()) -> Inputs:
    """The files that arguments and a list mean.

    A glob stands for what it matches, a folder for the files directly inside that have one of the
    `suffixes`. What cannot be expanded (a missing file, a folder without fitting files) stays as it
    is, and fails when it is read.

    Args:
        otherwise: suffixes of what a folder stands for if it holds nothing with one of the
            `suffixes`.
        many: ``recursive``: folders stand for the files at any depth, and the tree is kept: below
            the folder that was named, below the part of a glob that has no magic, and as a relative
            name in a list has it. ``listed``: a file of names, which are taken literally.
    Raises:
        click.UsageError: no input at all, or standard input meant twice. OSError: the list cannot
        be read.
    """
    inputs, recursive, listed = many.inputs, many.recursive, many.listed
    if not inputs and listed is None:
        raise click.UsageError("name at least one input, or a file that lists them: --from-list.")
    if listed == STANDARD_STREAM and STANDARD_STREAM in inputs:
        raise click.UsageError("standard input cannot be an input and the list of inputs.")
    endings = tuple(suffixes), tuple(otherwise)
    found: list[Found] = []
    left_out: Counter[str] = Counter()
    several = listed is not None
    for name in inputs:
        matches, root = [name], None
        if name != STANDARD_STREAM and not os.path.lexists(name) and glob.has_magic(name):
            matches = sorted(glob.glob(name, recursive=True)) or [name]
            root = _plain_part(name) if recursive else None
            several = True
        for match in matches:
            several = several or os.path.isdir(match)
            found += _expanded(match, endings, recursive, root, left_out)
    for name in names_in(listed) if listed is not None else ():
        root = "" if recursive and not os.path.isabs(name) else None
        found += _expanded(os.path.normpath(name), endings, recursive, root, left_out)
    unique: dict[str, Found] = {}
    for one in found:
        unique.setdefault(_identity(one.path), one)
    return Inputs([*unique.values()], several or len(unique) > 1, left_out)


def plan(
    inputs: Inputs,
    output: str | None,
    rename: Callable[[str], str],
    check_name: Callable[[str], object],
    *,
    in_place: bool = False,
) -> list[Job]:
    """Where each source's result goes; `rename` makes a result's file name of a source's.

    Args:
        check_name: raises click.UsageError for what is no name of a result.
        in_place: whether a single result may replace its own input.
    Returns:
        jobs; those whose results would get one name cannot be done.
    Raises:
        click.UsageError: a result would get the name of an input.
    """
    if inputs.several and output is not None:
        if output == STANDARD_STREAM:
            raise click.UsageError("several inputs cannot go to standard output; give a folder.")
        if not _may_be_folder(output):
            raise click.UsageError(f"several inputs need a folder, and {show(output)} is none.")
    targets = [_target(one, inputs.several, output, rename) for one in inputs.found]
    jobs: list[Job] = []
    alike = defaultdict(list)
    for source, target in zip(inputs.paths, targets, strict=True):
        check_name(target)
        alike[_identity(target)].append(source)
    for source, target in zip(inputs.paths, targets, strict=True):
        others = [name for name in alike[_identity(target)] if name != source]
        clash = others and target != STANDARD_STREAM
        fault = f"{show(others[0])} would be written to {show(target)} too" if clash else ""
        jobs.append(Job(source, target, target == output, fault))
    if len(jobs) > 1 or not in_place:
        keep_apart(targets, inputs.paths)
    return jobs


def keep_apart(targets: Iterable[str | None], sources: Iterable[str | None]) -> None:
    """Raises click.UsageError where an output would replace an input, by whatever name."""
    inputs = {_identity(source) for source in sources if source not in (None, STANDARD_STREAM)}
    for target in targets:
        if target not in (None, STANDARD_STREAM) and _identity(target) in inputs:
            raise click.UsageError(f"{show(target)} is both an input and an output.")


def names_in(listed: str) -> list[str]:
    """The names that a file lists ("-" too), one a line or NUL-separated. Raises OSError."""
    if listed == STANDARD_STREAM:
        if sys.stdin is None:
            raise OSError("standard input is closed")
        content = read_until(sys.stdin.buffer, LIST_MAX)
    else:
        with open(listed, "rb") as file:
            content = read_until(file, LIST_MAX)
    if len(content) > LIST_MAX:
        raise OSError(f"{show(listed)} is no list of names: more than {LIST_MAX:,} bytes")
    try:
        text = text_of(content)
    except UnicodeDecodeError as error:
        raise OSError(f"{show(listed)} is no list of names: {error}") from error
    return [name for name in re.split("\0" if "\0" in text else "\r\n|\r|\n", text) if name]


def stem(name: str) -> str:
    return os.path.splitext(name)[0]


def stream_name(target: str) -> None:
    """Raises click.UsageError for a picture's name, say: it would mislead."""
    named = target == STANDARD_STREAM or target.lower().endswith(STREAM_SUFFIX)
    if not named and not is_device(target):
        rule = f"a stream's name ends in {STREAM_SUFFIX}, a new folder's in /."
        raise click.UsageError(f"{show(target)}: {rule}")


def _expanded(
    path: str,
    endings: Sequence[tuple[str, ...]],
    recursive: bool,
    root: str | None,
    left_out: Counter[str],
) -> list[Found]:
    """A file, or a folder's files; below `root` the tree is kept, if it is not None."""
    if not os.path.isdir(path):
        below = os.path.basename(path)
        if root is not None:
            relative = os.path.relpath(path, root) if root else os.path.normpath(path)
            below = below if relative.startswith(os.pardir) else relative
        return [Found(path, below)]
    kept = path if root is None else root
    kinds = (list(_inside(path, suffixes, recursive, left_out)) for suffixes in endings)
    files: list[str] = next(filter(None, kinds), [])
    found = [
        Found(file, os.path.relpath(file, kept or ".") if recursive else os.path.basename(file))
        for file in files
    ]
    return found or [Found(path, os.path.basename(path))]


def _inside(
    folder: str, suffixes: tuple[str, ...], recursive: bool, left_out: Counter[str]
) -> Iterator[str]:
    """Each folder once, at its own place rather than where a link leads to it.

    What cannot be read, a folder or a link to nothing, comes too, and fails when it is read.
    """
    places, seen = [folder], set()
    unread: list[OSError] = []
    while places:
        links: list[str] = []
        for place, folders, files in os.walk(places.pop(0), onerror=unread.append):
            identity = os.path.realpath(place)
            below = [os.path.join(place, name) for name in sorted(folders) if name[0] != "."]
            fresh = recursive and identity not in seen
            folders[:] = [
                os.path.basename(path) for path in below if fresh and not os.path.islink(path)
            ]
            if identity in seen:
                continue
            seen.add(identity)
            links += [path for path in below if recursive and os.path.islink(path)]
            for path in (os.path.join(place, name) for name in sorted(files) if name[0] != "."):
                lost, suffix = not os.path.exists(path), os.path.splitext(path)[1].lower()
                fits = path.lower().endswith(suffixes)
                if lost and (fits or recursive and not suffix):  # without a suffix, once a folder
                    yield path
                elif os.path.isfile(path):
                    if fits:
                        yield path
                    else:
                        left_out[suffix] += 1
        places += links
    yield from (os.fsdecode(error.filename) for error in unread)


def _plain_part(pattern: str) -> str:
    """The folder above the first part of a glob that has magic; "" is the working folder."""
    folder = os.path.dirname(pattern)
    while folder and glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder


def _may_be_folder(output: str) -> bool:
    """Whether it is a folder, or is not there and has not the name of a picture or a stream."""
    if os.path.lexists(output):
        return os.path.isdir(output)
    return not output.lower().endswith((STREAM_SUFFIX, *PICTURE_SUFFIXES))


def _identity(name: str) -> str:
    return name if name == STANDARD_STREAM else os.path.realpath(name)


def _target(one: Found, several: bool, output: str | None, rename: Callable[[str], str]) -> str:
    folder, name = os.path.split("stdin" if one.path == STANDARD_STREAM else one.below)
    name = rename(name)
    if output is None and one.path == STANDARD_STREAM:
        return STANDARD_STREAM
    if output is None:
        return os.path.join(os.path.dirname(one.path), name)
    if several or os.path.isdir(output) or output.endswith(("/", os.sep)):
        return os.path.join(output, folder, name)
    return output
