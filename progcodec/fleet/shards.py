"""Tar files of many inputs to tar files of as many outputs, member by member.

The inputs of a shard are the members whose suffix the operation takes; each becomes one member, of
the same name but for its suffix, in the same place. All other files are copied (a data set's
labels, say); ``archive.py`` says which those are. A first member, ``__progcodec__``, tells what the
shard was made of, how many inputs there were and which of them failed; WebDataset's readers pass
over such names.

An output is written whole or not at all and always under one name, so a shard that is done twice,
since the machine that did it was thought lost, is there once. A shard is *finished* if its first
member has what it would be made of now (as in ``journal.py``, from the content of the input, the
options and the model), and all others have the digest that it tells.

A shard and its output are held in memory: a gigabyte a shard is the usual bound.
"""

import hashlib
import io
import json
import os
import posixpath
import tarfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from progcodec.errors import (
    CheckpointError,
    ClassifierError,
    HierarchyError,
    PictureWarning,
    ProgcodecError,
    ShardError,
    in_one_line,
)
from progcodec.fleet import storage
from progcodec.fleet.archive import BROKEN, File, files_in
from progcodec.fleet.flow import Loaded, Outcome, Settled, Stages, flow
from progcodec.fleet.journal import made_of
from progcodec.fleet.operation import Operation

RECORD = "__progcodec__"
"""The first member of an output."""

NO_FAULT_OF_AN_INPUT = (CheckpointError, ClassifierError, HierarchyError, MemoryError, RuntimeError)
"""The model's or the machine's: they end the shard, which would else pass for finished."""


class Shard(NamedTuple):
    """A tar file, and where the tar file of its outputs goes; paths or URIs."""

    source: str
    target: str


class Converted(NamedTuple):
    """What became of a shard.

    Attributes:
        inputs: members that the operation takes; ``made`` of them have an output, all others are in
            ``failures``.
        bytes: of the output.
        failures: name and reason.
        finished_before: nothing had to be done.
    """

    inputs: int
    made: int
    bytes: int
    failures: tuple[tuple[str, str], ...] = ()
    finished_before: bool = False


class Member(NamedTuple):
    file: File
    is_input: bool


class Record(NamedTuple):
    """What the first member of an output tells, as JSON."""

    made_of: str
    sha256: str
    inputs: int
    made: int
    failed: Sequence[tuple[str, str]]


def target_name(source: str) -> str:
    """File name of the output of a shard: always a plain tar."""
    name = source.rstrip("/").rsplit("/", 1)[-1]
    for suffix in (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"):
        name = name.removesuffix(suffix)
    return f"{name}.tar"


def convert(
    shard: Shard,
    operation: Operation,
    *,
    batch: int = 16,
    resume: bool = False,
    force: bool = False,
) -> Converted:
    """Do one shard.

    Raises:
        ShardError: no sound tar file, or an output that may not be replaced. OSError: it cannot be
            read or written.
        What is in NO_FAULT_OF_AN_INPUT; whatever else an input raises is its failure.
    """
    if storage.same(shard.source, shard.target):
        raise ShardError(f"{shard.target} would replace its own input")
    there = storage.read_if_there(shard.target) if resume or not force else None
    if there is not None and not resume:
        raise ShardError(f"{shard.target} exists; --force overwrites it")
    data = storage.read(shard.source)
    source = made_of(operation.signature(), data)
    if there is not None:
        record = _record_of(there)
        if record is None and not force:
            raise ShardError(
                f"{shard.target} exists, and is no output of this program; --force overwrites it"
            )
        if record is not None and record.made_of == source and _is_unchanged(there, record):
            failures = tuple((name, why) for name, why in record.failed)
            return Converted(record.inputs, record.made, len(there), failures, finished_before=True)
    stages = Stages(partial(_load, operation), operation.run, partial(_finish, operation))
    members = _members(data, operation.suffixes)
    outcomes = list(flow(members, stages, operation.limits(batch)))
    output, converted = _assembled(outcomes, operation, source)
    storage.write(shard.target, output, replace=force or there is not None)
    return converted


def _load(operation: Operation, job: Member) -> Loaded | Settled:
    """What the operation does not take passes."""
    if job.file.fault:
        raise ShardError(job.file.fault)
    if not job.is_input:
        return Settled(job.file.data)
    loaded = operation.load(job.file.data)
    _warn(job, loaded.warning)
    return loaded


def _finish(operation: Operation, job: Member, made: object) -> bytes:
    product = operation.finish(made)
    _warn(job, product.warning)
    return product.data


def _warn(job: Member, told: str) -> None:
    if told:
        warnings.warn(f"{job.file.header.name}: {told}", PictureWarning, stacklevel=3)


def _assembled(
    outcomes: Sequence[Outcome[Member]], operation: Operation, source: str
) -> tuple[bytes, Converted]:
    """The output, and what to tell of it. Raises what is no input's fault."""
    kept: list[tuple[tarfile.TarInfo, bytes]] = []
    failures: list[tuple[str, str]] = []
    taken: dict[str, str] = {}
    inputs = made = 0
    for member, result, error in outcomes:
        inputs += member.is_input
        name = member.file.header.name
        if error is not None:
            if isinstance(error, NO_FAULT_OF_AN_INPUT):
                raise error
            told = isinstance(error, (ProgcodecError, OSError))
            kind = "" if told else f"{type(error).__name__}: "
            failures.append((name, kind + in_one_line(error)))
            continue
        output = os.path.splitext(name)[0] + operation.suffix if member.is_input else name
        place = posixpath.normpath(output)
        if place in taken:
            failures.append((name, f"would be named {output}, as {taken[place]} is"))
            continue
        taken[place] = name
        made += member.is_input
        kept.append((_header(output, len(result), member.file.header), result))
    record = Record(source, _digest(kept), inputs, made, failures)
    text = json.dumps(record._asdict()).encode()
    first = _header(RECORD, len(text))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, data in [(first, text), *kept]:
            tar.addfile(header, io.BytesIO(data))
    return file.getvalue(), Converted(inputs, made, file.tell(), tuple(failures))


def _header(name: str, size: int, like: tarfile.TarInfo | None = None) -> tarfile.TarInfo:
    """Of a plain file, with the time and the permissions of another where they make sense."""
    header = tarfile.TarInfo(name)
    header.size = size
    if like is not None:
        header.mode = like.mode & 0o777
        header.mtime = like.mtime if 0 <= like.mtime < 8**11 else 0  # a file may say anything: NaN
    return header


def _members(data: bytes, suffixes: tuple[str, ...]) -> Iterator[Member]:
    """A tar file's files in order, but for the record. Raises ShardError."""
    for file in files_in(data):
        name = file.header.name
        if name != RECORD:
            hidden = os.path.basename(name).startswith(".")
            yield Member(file, name.lower().endswith(suffixes) and not hidden)


def _record_of(output: bytes) -> Record | None:
    """The record of an output of this program; None of what is none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(output), mode="r:") as tar:
            first = tar.next()
            if first is None or first.name != RECORD or first.size > len(output):
                return None
            content = tar.extractfile(first)
            found = Record(**json.loads(content.read() if content else b""))
        texts = [found.made_of, found.sha256, *(text for pair in found.failed for text in pair)]
        sound = (
            all(type(text) is str for text in texts)
            and all(len(pair) == 2 for pair in found.failed)
            and type(found.inputs) is type(found.made) is int
        )
        return found if sound else None
    except BROKEN:
        return None


def _is_unchanged(output: bytes, record: Record) -> bool:
    try:
        found = _digest((file.header, file.data) for file, _ in _members(output, ()))
        return record.sha256 == found
    except ShardError:
        return False


def _digest(files: Iterable[tuple[tarfile.TarInfo, bytes]]) -> str:
    """SHA-256 over names, lengths and contents."""
    digest = hashlib.sha256()
    for header, data in files:
        digest.update(f"{header.name}\0{len(data)}\0".encode(errors="surrogateescape") + data)
    return digest.hexdigest()
