"""Pictures to judge on: files, folders, globs and tar archives, read one at a time."""

import glob
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Pixels
from progcodec.errors import ImageError, LimitError, ProgcodecError
from progcodec.files import PICTURE_SUFFIXES, TAR_SUFFIXES
from progcodec.image import open_image


class Picture(NamedTuple):
    name: str
    pixels: Pixels
    """uint8 (H, W, 3), RGB."""

    @property
    def size(self) -> int:
        """Pixels."""
        return self.pixels.shape[0] * self.pixels.shape[1]


def read_pictures(
    sources: str | Path | Iterable[str | Path], limit: int | None = None
) -> Iterator[Picture]:
    """Yield the pictures of each source in turn, by name inside a folder, a glob or an archive; at most ``limit``.

    A source is a picture, a folder (not searched below its first level), a tar archive (plain or gzip) or a glob.
    Raises ProgcodecError where a source holds no picture, and ImageError where one cannot be read.
    """
    if isinstance(sources, (str, Path)):
        sources = [sources]
    left = limit
    for source in sources:
        if left is not None and left <= 0:
            return
        found = 0
        for picture in _of_source(str(source)):
            if left is not None and found >= left:
                break
            found += 1
            yield picture
        if not found:
            raise ProgcodecError(f"{source}: no pictures found ({', '.join(PICTURE_SUFFIXES)})")
        left = None if left is None else left - found


def _of_source(source: str) -> Iterator[Picture]:
    path = Path(source)
    if path.is_dir():
        yield from _of_files(entry for entry in path.iterdir() if _is_picture(entry.name))
    elif path.is_file() and path.name.lower().endswith(TAR_SUFFIXES):
        yield from _of_archive(path)
    elif path.is_file():
        yield from _of_files([path])
    elif matches := [Path(match) for match in glob.glob(source)]:
        for archive in sorted(
            match for match in matches if match.name.lower().endswith(TAR_SUFFIXES)
        ):
            yield from _of_archive(archive)
        yield from _of_files(match for match in matches if _is_picture(match.name))
    else:
        raise ProgcodecError(f"{source}: no such file, folder or match")


def _of_files(paths: Iterable[Path]) -> Iterator[Picture]:
    for path in sorted(paths):
        try:
            yield _read(path.name, path.read_bytes())
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror or error}") from None


def _of_archive(path: Path) -> Iterator[Picture]:
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile() and _is_picture(member.name)]
            for member in sorted(members, key=lambda member: member.name):
                stream = archive.extractfile(member)
                assert stream is not None  # it is a regular file
                yield _read(member.name, stream.read())
    except (tarfile.TarError, EOFError) as error:
        raise ProgcodecError(f"{path}: not a readable tar archive: {error}") from None


def _read(name: str, data: bytes) -> Picture:
    try:
        return Picture(name, np.array(open_image(data)))
    except (ImageError, LimitError) as error:
        raise type(error)(f"{name}: {error}") from None


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES) and not Path(name).name.startswith(".")
