"""The pictures of an evaluation, with their true classes, from shards, folders and files.

A picture's class is the WordNet id in its path (``n01440764/x.jpg`` in a shard,
``photos/n01440764/x.jpg`` on disk), or what a CSV says. Pictures without a class are measured all
the same: by whether an answer is that on the clean picture.
"""

import glob
import hashlib
import random
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Pixels
from progcodec.classification.labels import load_labels
from progcodec.errors import EvaluationError, ImageError, LimitError
from progcodec.files import PICTURE_SUFFIXES
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.image import open_image
from progcodec.lab.train.dataset import content_of, is_tar, loose_files


@dataclass(eq=False)
class Picture:
    """A picture and what is known of it.

    Attributes:
        name: its path, within the shard or folder.
        pixels: uint8 (H, W, 3), RGB.
        label: index of its class; None if it has none, or one that the hierarchy does not know.
    """

    name: str
    pixels: Pixels
    label: int | None = None

    @property
    def size(self) -> int:
        """Pixels."""
        return self.pixels.shape[0] * self.pixels.shape[1]

    @cached_property
    def digest(self) -> str:
        """Of its samples, whatever the file was."""
        return digest(self.pixels)


class _Found(NamedTuple):
    """A picture before it is read."""

    name: str
    read: Callable[[], bytes]


def load_pictures(
    sources: Iterable[str | Path],
    hierarchy: Hierarchy | None = None,
    *,
    labels: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[Picture]:
    """The pictures of tar shards, folders (searched to the bottom), files and globs of these, by
    name.

    Args:
        hierarchy: of the classes; without one no picture has a label.
        labels: CSV of file,label lines; it comes before what paths say.
        limit: at most so many, drawn with `seed` from all, the same ones whatever the order of the
            sources.
    Raises:
        EvaluationError: a source is missing, damaged or without pictures. ImageError, LimitError:
            one cannot be read.
        HierarchyError: a label that is no class.
    """
    found: dict[str, _Found] = {}
    with ExitStack() as archives:
        for source in map(str, sources):
            own = list(_of_source(source, archives))
            if not own:
                listed = ", ".join(PICTURE_SUFFIXES)
                raise EvaluationError(f"{source}: no pictures found ({listed})")
            for picture in own:  # two shards may hold different pictures under one name
                name = f"{source}:{picture.name}" if picture.name in found else picture.name
                found[name] = picture
        names = sorted(found)
        if limit is not None and limit < len(names):
            names = sorted(random.Random(seed).sample(names, limit))
        leaves = enumerate(hierarchy.classes if hierarchy else ())
        wnids = {leaf.wnid: index for index, leaf in leaves if leaf.wnid}
        told = load_labels(labels, hierarchy) if labels and hierarchy else lambda name: None
        return [_picture(found[name], wnids, told) for name in names]


def digest(pixels: Pixels) -> str:
    """A name for the samples of a picture."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]


def fingerprint(pictures: Iterable[Picture]) -> str:
    """Eight hex digits that change with the set of pictures or their classes."""
    marks = sorted((picture.digest, str(picture.label)) for picture in pictures)
    return hashlib.sha256(repr(marks).encode()).hexdigest()[:8]


def _picture(found: _Found, wnids: dict[str, int], listed: Callable[[str], int | None]) -> Picture:
    try:
        pixels = np.array(open_image(found.read()))
    except (ImageError, LimitError) as error:
        raise type(error)(f"{found.name}: {error}") from None
    except OSError as error:
        raise ImageError(f"{found.name}: {error.strerror or error}") from None
    label = listed(found.name)
    if label is None:
        folders = reversed(Path(found.name).parts[:-1])
        label = next((wnids[part] for part in folders if part in wnids), None)
    return Picture(found.name, pixels, label)


def _of_source(source: str, archives: ExitStack) -> Iterator[_Found]:
    path = Path(source)
    paths = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(source))]
    if not paths:
        raise EvaluationError(f"{source}: no such file, folder or match")
    for path in paths:
        if is_tar(path):
            yield from _of_archive(path, archives)
        elif path.is_dir():
            files = filter(_fits, loose_files(path))
            yield from (_Found(name, Path(name).read_bytes) for name in files)
        else:
            yield _Found(str(path), path.read_bytes)


def _of_archive(path: Path, archives: ExitStack) -> Iterator[_Found]:
    """The archive stays open until all that was chosen of it is read."""
    try:
        archive = archives.enter_context(tarfile.open(path))  # noqa: SIM115
        members = [member for member in archive if member.isfile() and _fits(member.name)]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise EvaluationError(f"{path}: not a readable tar archive: {error}") from None
    for member in members:
        yield _Found(member.name, partial(content_of, archive, member))


def _fits(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES) and not Path(name).name.startswith(".")
