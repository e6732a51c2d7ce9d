"""The only writer of files: an output is whole or absent at any moment, even if the program is
killed or the power fails.

It is written to a temporary sibling of a random name, forced to the disk, and renamed. A program
that is killed before that leaves the sibling behind. The sibling stays locked while its writer
lives, and a lock dies with its process: so the next run knows which siblings nobody writes any
more, and removes them, even beside another run in the same folder.
"""

import codecs
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from io import FileIO
from typing import BinaryIO, Literal, TypeAlias

try:
    import fcntl
except ImportError:  # No such locks on Windows; leftovers stay there until someone removes them.
    fcntl = None  # type: ignore[assignment]

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
PREFIX, SUFFIX = ".progcodec-", ".tmp"
"""Of a sibling's name; a random part stands between."""


STREAM_SUFFIX = ".shc"
PICTURE_SUFFIXES = (
    ".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit",
    ".fits", ".flc", ".fli", ".ftc", ".ftu", ".gbr", ".gif", ".icb", ".icns", ".ico", ".iim", ".im",
    ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo",
    ".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".pxr", ".qoi",
    ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp", ".xbm",
    ".xpm",
)  # fmt: skip
"""Of all that Pillow can read by itself, and that is one picture, not a program that draws one."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

StrPath: TypeAlias = str | os.PathLike[str]


def write_whole(
    path: StrPath,
    data: bytes,
    before_rename: Callable[[], None] | None = None,
    *,
    replace: bool = True,
) -> None:
    """Write all of ``data`` or nothing. Arguments and errors as :func:`whole_file`."""
    with whole_file(path, before_rename, replace=replace) as file:
        file.write(data)


@contextlib.contextmanager
def whole_file(
    path: StrPath, before_rename: Callable[[], None] | None = None, *, replace: bool = True
) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when the context ends well, and vanishes otherwise.

    Folders are made as needed. What has the name already, a link or a pipe too, is replaced itself;
    the permissions of a file stay, but for set-user-ID and its like.

    Args:
        before_rename: called when all is written and nothing visible yet; what it raises ends the
            writing.
        replace: False: FileExistsError if the name is taken by then, whoever took it.
    Raises:
        OSError.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder or ".", exist_ok=True)
    file, temporary = _open_sibling(folder)
    try:
        with file:
            yield file
            file.flush()
            _force_to_disk(file.fileno())
            if replace and os.path.isfile(path) and not os.path.islink(path):
                os.chmod(temporary, os.stat(path).st_mode & 0o777)
            if before_rename is not None:
                before_rename()
            if replace:
                os.replace(temporary, path)
            else:
                _name_anew(temporary, path)
    except BaseException:  # Ctrl-C too must not leave a stray file.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def text_of(data: bytes) -> str:
    """The text of a file of names, in UTF-8 or, as programs on Windows write it, in UTF-16.

    Bytes that are no text come as ``os.fsdecode`` gives them, so that they still name their files.
    Raises UnicodeDecodeError where a byte order mark promises what does not follow.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    if {b"\r", b"\n"} & set(data.split(b"\0")):  # names ended by NUL have no line ends of their own
        return data.decode("utf-16-le" if data[0] else "utf-16-be")
    return os.fsdecode(data)


def stamp(path: StrPath | None) -> tuple[int, ...]:
    """What is other once a file has been replaced or written anew; () where there is none.

    Part of the key of all that is kept loaded.
    """
    try:
        state = os.stat(path or "")
    except OSError:
        return ()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def remove_leftovers(folder: str) -> int:
    """Remove siblings that nobody writes any more, where it can; how many those were."""
    if fcntl is None:
        return 0
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                with contextlib.suppress(OSError), open_plain(entry.path) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(entry.path)
                    removed += 1
    return removed


def open_plain(path: StrPath, mode: Literal["rb", "ab"] = "rb") -> FileIO:
    """A file beside outputs that is nothing but a file: no link is followed, no pipe waited for.

    Unbuffered. Raises OSError.
    """

    def opener(name: str, flags: int) -> int:
        descriptor = os.open(name, flags | _NO_FOLLOW, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a plain file", name)
        return descriptor

    return open(path, mode, buffering=0, opener=opener)


def append_line(path: str, line: bytes) -> None:
    """Add a line to a file of lines, in one write. Raises OSError."""
    with open_plain(path, "ab") as file:
        file.write(line + b"\n")


def _open_sibling(folder: str) -> tuple[BinaryIO, str]:
    """A new locked file."""
    while True:
        temporary = os.path.join(folder, f"{PREFIX}{secrets.token_hex(6)}{SUFFIX}")
        file = open(temporary, "xb")  # noqa: SIM115
        if fcntl is not None:
            # Some file systems have no locks; then nothing is cleaned there either.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(temporary):
            return file, temporary
        file.close()  # Another run took it for a leftover in the moment before it was locked.


def _name_anew(temporary: str, path: StrPath) -> None:
    """Renames a file. Raises FileExistsError where the name is taken, even if only just now."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is taken first
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(temporary, path)
    else:
        os.unlink(temporary)


def _force_to_disk(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # Not every file system can.
        os.fsync(descriptor)
