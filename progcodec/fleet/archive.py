"""The files in a tar file, none of them lost in silence, and none larger than it can be good for.

bytes ─unpacked, bounded─► archive, zeros, archive, … ─► headers ─links resolved─► contents
"""

import bz2
import gzip
import io
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from progcodec.errors import ShardError

ROOM, RATIO = 1 << 28, 100
"""Bytes that the files of any shard may have in all, and how many for each byte of a large one:
pictures hardly pack, labels some tenfold. What claims more (packed or sparse zeros, many links to
one file) is a trap."""
PACKED: dict[bytes, Callable[[io.BytesIO], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
LABEL = b"V"
"""Type of a member that is but the tar file's name."""
BROKEN = (
    tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
    ValueError, TypeError, ArithmeticError, LookupError, RecursionError,
)  # fmt: skip
"""What the readers raise on damaged data."""


class File(NamedTuple):
    """A member that is a file, or should be one.

    Attributes:
        header: its name never begins with "/".
        data: b"" where there is a fault.
        fault: why it cannot be read; "" if it can.
    """

    header: tarfile.TarInfo
    data: bytes
    fault: str = ""


def files_in(data: bytes) -> Iterator[File]:
    """Files, in order; links as the files that they lead to, folders not at all.

    Of what is neither (a device, say) and of what the tar file does not hold, the fault is told.
    Several tar files one after the other are read as one. Raises ShardError where it is damaged,
    cut, or claims more than it can be good for.
    """
    limit = max(ROOM, RATIO * len(data))
    try:
        tar = io.BytesIO(_unpacked(data, limit))
        members = list(_members(tar))
        by_name: dict[str, _Member] = {}
        for member in members:
            by_name.setdefault(_plain(member.header.name), member)
        taken = 0
        for member in members:
            header = member.header
            if header.isdir() or header.type == LABEL:
                continue
            found, fault = _followed(member, by_name)
            header.name = header.name.lstrip("/")
            taken += found.header.size if found else 0
            if taken > limit:
                raise ShardError(_too_large(limit))
            content = found.archive.extractfile(found.header) if found else None
            yield File(header, content.read() if content else b"", fault)
    except BROKEN as error:
        raise ShardError(f"not a sound tar file: {error}") from error


class _Member(NamedTuple):
    header: tarfile.TarInfo
    archive: tarfile.TarFile


def _unpacked(data: bytes, limit: int) -> bytes:
    for magic, open_packed in PACKED.items():
        if data.startswith(magic):
            plain = io.BytesIO()
            with open_packed(io.BytesIO(data)) as file:
                while piece := file.read(1 << 20):
                    if plain.tell() + len(piece) > limit:
                        raise ShardError(_too_large(limit))
                    plain.write(piece)
            return plain.getvalue()
    return data


def _too_large(limit: int) -> str:
    return f"its files would take more than {limit:,} bytes, far beyond its own size"


def _members(file: io.BytesIO) -> Iterator[_Member]:
    start = 0
    while True:
        file.seek(start)
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - nothing is to be closed
        for header in archive:
            yield _Member(header, archive)
        # tarfile takes a cut or damaged header for the end; only a block of zeros is one.
        file.seek(archive.offset)
        block = file.read(tarfile.BLOCKSIZE)
        if block != bytes(tarfile.BLOCKSIZE):
            raise ShardError("not a sound tar file: its end is missing")
        while block and not any(block):
            block = file.read(tarfile.BLOCKSIZE)
        if not block:
            return
        start = file.tell() - len(block)


def _followed(member: _Member, by_name: dict[str, _Member]) -> tuple[_Member | None, str]:
    """The regular member that one stands for, or why there is none."""
    if ".." in member.header.name.split("/"):
        return None, "its name leads out of the shard"
    found: _Member | None = member
    passed: set[int] = set()
    while found is not None and (found.header.issym() or found.header.islnk()):
        header = found.header
        folder = posixpath.dirname(header.name) if header.issym() else ""
        outside = id(header) in passed or (header.issym() and header.linkname.startswith("/"))
        passed.add(id(header))
        place = _plain(posixpath.join(folder, header.linkname))
        found = None if outside else by_name.get(place)
    if found is not None and found.header.isfile():
        return found, ""
    if not passed:
        return None, "it is neither a file nor a link to one"
    return None, f"it links to {member.header.linkname}, which is no file of the shard"


def _plain(name: str) -> str:
    return posixpath.normpath(name.lstrip("/"))
