"""Training images: tar shards and folders, and what of them fits in memory.

Sets of some ten thousand pictures are decoded once, into 8-bit arrays: cropping from these keeps
two CPU cores free for the network. What is larger is streamed (``stream.py``). Crops are cut in
``sampling.py``.
"""

import contextlib
import glob
import gzip
import io
import itertools
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple, Protocol, cast

import numpy as np
from PIL import Image
from tqdm import tqdm

from progcodec.arrays import Pixels
from progcodec.errors import TrainingError
from progcodec.files import PICTURE_SUFFIXES

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
CLASS_SUFFIX = ".cls"
"""WebDataset's name for the member that holds the class index of the picture with the same key."""

CROP = 128
"""Pixels a side of a crop, if nothing else is said."""
CHUNK = 256
"""Pictures that are decoded beside each other."""
GROWTH_MIN = 3
"""Decoded bytes per stored byte, at least: what is certain to exceed the memory need not be tried.
JPEGs grow about tenfold."""

Labels = Callable[[str], int | None]
"""The class index of a picture by its name; None if it has no label."""


class Record(NamedTuple):
    """A picture as stored. `data` is None for a loose file, which is read when it is needed."""

    name: str
    data: bytes | None
    label: int | None


class Picture(NamedTuple):
    """`pixels` are uint8 (H, W, 3); `label` is a class index."""

    pixels: Pixels
    label: int | None = None


class Source(Protocol):
    """Where samplers get their pictures."""

    def draw(self, random: np.random.Generator) -> Picture: ...


class InMemory:
    """Pictures at random, with replacement. See :class:`Source`."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self.pictures = pictures

    def draw(self, random: np.random.Generator) -> Picture:
        return self.pictures[random.integers(len(self.pictures))]


def expand(patterns: Sequence[str]) -> list[Path]:
    """Paths that the patterns (files, folders, globs) name, sorted within each.

    Raises TrainingError on an empty one.
    """
    paths: list[Path] = []
    for pattern in patterns:
        found = sorted(Path(p) for p in glob.glob(str(pattern), recursive=True))
        if not found and os.path.exists(pattern):  # a name with brackets
            found = [Path(pattern)]
        if not found:
            raise TrainingError(f"{pattern}: no such file, folder or pattern")
        paths += found
    return paths


def is_tar(path: Path) -> bool:
    return path.name.lower().endswith(TAR_SUFFIXES) and not path.is_dir()


def loose_files(path: Path) -> list[str]:
    """The pictures in a folder and below, sorted; a file is itself."""
    if not path.is_dir():
        return [str(path)]
    found = []
    for folder, _, names in os.walk(path, followlinks=True):
        found += [
            os.path.join(folder, name)
            for name in names
            if os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES
        ]
    return sorted(found)


def records(path: Path, labels: Labels | None = None) -> Iterator[Record]:
    """What a shard, folder or file holds, in its order; labels are those of WebDataset's .cls
    members, or of `labels`.

    Raises:
        TrainingError: a tar file breaks off or is none.
    """
    if is_tar(path):
        yield from _tar_records(path, labels)
    else:
        for name in loose_files(path):
            yield Record(name, None, labels(name) if labels else None)


def read_records(path: Path, labels: Labels | None, quiet: bool) -> Iterable[Record]:
    """As :func:`records`, behind a progress bar."""
    what = f"reading {path.name}"
    bar: Iterable[Record] = tqdm(
        records(path, labels), desc=what, unit="img", disable=quiet, leave=False
    )
    return bar


def _tar_records(path: Path, labels: Labels | None) -> Iterator[Record]:
    try:
        with tarfile.open(path) as archive:
            files = (member for member in archive if member.isfile())
            for _, group in itertools.groupby(files, _key):
                pictures, told = [], b""
                for member in group:
                    suffix = os.path.splitext(member.name)[1].lower()
                    if suffix == CLASS_SUFFIX:
                        told = content_of(archive, member)
                    elif suffix in PICTURE_SUFFIXES:
                        pictures.append((f"{path.name}/{member.name}", content_of(archive, member)))
                label = int(told) if labels and told.strip().isdigit() else None
                for name, data in pictures:
                    yield Record(name, data, labels(name) if labels and label is None else label)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
        raise TrainingError(f"{path}: not a readable tar file ({reason})") from None


def _key(member: tarfile.TarInfo) -> tuple[str, str]:
    """WebDataset's: it ends at the first dot."""
    folder, _, base = member.name.rpartition("/")
    return folder, base.partition(".")[0]


def content_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return cast(IO[bytes], archive.extractfile(member)).read()


def short_side(picture: Picture) -> int:
    return min(picture.pixels.shape[:2])


UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""Pillow's ways to say "damaged"."""


def decode(record: Record, min_side: int) -> Picture | Exception | None:
    """The picture; None where its short side is below ``min_side``, the error where it is
    damaged.
    """
    try:
        with _opened(record) as image:
            if min(image.size) < min_side:
                return None
            return Picture(np.asarray(image.convert("RGB")), record.label)
    except UNREADABLE as error:
        return error


def _opened(record: Record) -> Image.Image:
    return Image.open(record.name if record.data is None else io.BytesIO(record.data))


def load_pictures(
    patterns: Sequence[str],
    min_side: int,
    limit: int | None = None,
    quiet: bool = True,
    labels: Labels | None = None,
    memory: float | None = None,
) -> list[Picture] | None:
    """Every picture of the shards and folders whose short side is at least ``min_side``; None if
    they exceed `memory` bytes.

    Raises:
        TrainingError: nothing usable was found.
    """
    pictures: list[Picture] = []
    small = broken = size = 0
    paths = expand(patterns)
    if memory is not None:
        enough = memory / GROWTH_MIN
        if _stored_bytes(paths, enough) > enough:
            return None
    for path in paths:
        for picture in _decoded(read_records(path, labels, quiet), min_side):
            if not isinstance(picture, Picture):
                small += picture is None
                broken += picture is not None
                continue
            pictures.append(picture)
            size += picture.pixels.nbytes
            if limit is not None and len(pictures) >= limit:
                return pictures
            if memory is not None and size > memory:
                return None
    if not pictures:
        raise nothing_usable(min_side, small, broken)
    return pictures


def _decoded(stored: Iterable[Record], min_side: int) -> Iterator[Picture | Exception | None]:
    """What :func:`decode` makes of each, in order, by as many threads as there are cores."""
    source = iter(stored)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(itertools.islice(source, CHUNK)):
            yield from pool.map(decode, chunk, itertools.repeat(min_side))


def _stored_bytes(paths: Sequence[Path], enough: float) -> int:
    """Bytes of all files; counting stops when there are `enough`."""
    total = 0
    for path in paths:
        for name in [str(path)] if is_tar(path) else loose_files(path):
            with contextlib.suppress(OSError):  # it is met again, and told of, when it is read
                total += os.path.getsize(name)
            if total > enough:
                return total
    return total


def check_sides(patterns: Sequence[str], crop: int) -> None:
    """Looks for one picture from which a crop can be cut, at the heads of files alone.

    Raises TrainingError where there is none; it says which crop would do.
    """
    largest = seen = 0
    for path in expand(patterns):
        for record in records(path):
            with contextlib.suppress(*UNREADABLE):
                with _opened(record) as image:
                    side = min(image.size)
                if side >= crop:
                    return
                largest, seen = max(largest, side), seen + 1
    if not seen:
        raise TrainingError("there is no picture that can be read")
    fits = largest // 16 * 16
    advice = f"--crop {fits} would do" if fits else "they are too small to train with"
    raise TrainingError(
        f"no image of at least {crop} pixels a side; the largest of {seen:,} has {largest}: "
        f"{advice}"
    )


def nothing_usable(min_side: int, small: int, broken: int) -> TrainingError:
    return TrainingError(
        f"no image of at least {min_side} pixels a side ({small} smaller, {broken} unreadable)"
    )
