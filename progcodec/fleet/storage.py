"""Files by path or by URI (``s3://…``, ``gs://…``, ``memory://…``), through fsspec.

Torch brings fsspec; a store's own package (s3fs, gcsfs) does not come with it.
"""

import os
from typing import TYPE_CHECKING

from progcodec.errors import ShardError
from progcodec.files import open_plain, write_whole

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def matching(pattern: str) -> list[str]:
    """What a pattern with ``*`` stands for, in order, or a name without one: as :func:`everywhere`
    has it.
    """
    pattern = everywhere(pattern)
    if "*" not in pattern:
        return [pattern]
    store, path = _store(pattern)
    return [
        store.unstrip_protocol(name) if "://" in pattern else name
        for name in sorted(store.glob(path))
    ]


def everywhere(name: str) -> str:
    """A name that means the same in any working folder: a URI, or an absolute path."""
    return name if "://" in name else os.path.abspath(name)


def same(one: str, other: str) -> bool:
    """Whether two names are of one file."""
    if "://" in one or "://" in other:
        return one == other
    return os.path.realpath(one) == os.path.realpath(other)


def read(name: str) -> bytes:
    """All of a file. Raises OSError, ShardError."""
    store, path = _store(name)
    content: bytes = store.cat_file(path)
    return content


def read_if_there(name: str) -> bytes | None:
    """All of an output, None where there is none. Raises OSError, ShardError."""
    store, path = _store(name)
    try:
        if _on_disk(store):
            with open_plain(path) as file:
                return file.read()
        return read(name)
    except FileNotFoundError:
        return None


def write(name: str, data: bytes, *, replace: bool = True) -> None:
    """Write all of ``data`` or nothing: by rename on a disk, by one put in an object store.

    Raises OSError, ShardError; on a disk FileExistsError, if it may not ``replace`` what is there.
    """
    store, path = _store(name)
    if _on_disk(store):
        write_whole(path, data, replace=replace)
    else:
        store.pipe_file(path, data)


def below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _store(name: str) -> "tuple[AbstractFileSystem, str]":
    from fsspec.core import url_to_fs

    try:
        store, path = url_to_fs(name)
    # a store without its package, or no store of that name
    except (ImportError, ValueError) as error:
        raise ShardError(f"{name}: {error}") from error
    return store, path


def _on_disk(store: "AbstractFileSystem") -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(store, LocalFileSystem)
