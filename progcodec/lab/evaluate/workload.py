"""The pictures of an evaluation, with their true classes: shards, folders, a CSV of labels; a fixed choice of them.

A picture's class is the WordNet id in its path (``n01440764/x.jpg`` in a shard, ``photos/n01440764/x.jpg`` on disk), or
what the CSV says. Pictures without a class are measured all the same: by whether an answer is that on the clean picture.
"""

import glob
import random
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from progcodec.arrays import Pixels
from progcodec.classification.labels import load_labels
from progcodec.errors import EvaluationError, ImageError, LimitError
from progcodec.files import PICTURE_SUFFIXES, TAR_SUFFIXES
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.image import open_image
from progcodec.lab.evaluate.points import digest


class Sample(NamedTuple):
    """A picture and what is known of it.

    Attributes:
        name: its path, within the shard or folder.
        pixels: uint8 (H, W, 3), RGB.
        label: index of its class; None if it has none, or one that the hierarchy does not know.
        digest: of its samples, whatever the file was.
    """

    name: str
    pixels: Pixels
    label: int | None
    digest: str


class Found(NamedTuple):
    """A picture before it is read."""

    name: str
    read: Callable[[], bytes]


def load_samples(
    sources: Iterable[str],
    hierarchy: Hierarchy,
    *,
    labels: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[Sample]:
    """The pictures of shards (.tar, .tar.gz), folders (searched to the bottom), files and globs of these.

    Args:
        labels: CSV of file,label lines; it comes before what paths say.
        limit: at most so many, drawn with `seed` from all, the same ones whatever the order of the sources.
    Raises:
        EvaluationError: a source is missing, damaged or without pictures. ImageError, LimitError: one cannot be read.
        HierarchyError: a label that is no class.
    """
    found: dict[str, Found] = {}
    with _Archives() as archives:
        for source in sources:
            own = list(_of_source(source, archives))
            if not own:
                raise EvaluationError(
                    f"{source}: no pictures found ({', '.join(PICTURE_SUFFIXES)})"
                )
            for picture in own:  # two shards may hold different pictures under one name
                found[f"{source}:{picture.name}" if picture.name in found else picture.name] = (
                    picture
                )
        names = sorted(found)
        if limit is not None and limit < len(names):
            names = sorted(random.Random(seed).sample(names, limit))
        wnids = {leaf.wnid: index for index, leaf in enumerate(hierarchy.classes) if leaf.wnid}
        listed = None if labels is None else load_labels(labels, hierarchy)
        return [_sample(found[name], wnids, listed) for name in names]


def fingerprint(samples: Iterable[Sample]) -> str:
    """Eight hex digits that change with the set of pictures or their classes."""
    marks = sorted(
        (sample.digest, -1 if sample.label is None else sample.label) for sample in samples
    )
    return digest(np.frombuffer(repr(marks).encode(), np.uint8))[:8]


def _sample(
    picture: Found, wnids: dict[str, int], listed: Callable[[str], int | None] | None
) -> Sample:
    try:
        pixels = np.array(open_image(picture.read()))
    except (ImageError, LimitError) as error:
        raise type(error)(f"{picture.name}: {error}") from None
    label = listed(picture.name) if listed else None
    if label is None:
        label = next(
            (wnids[part] for part in reversed(Path(picture.name).parts[:-1]) if part in wnids), None
        )
    return Sample(picture.name, pixels, label, digest(pixels))


class _Archives:
    """Tar files, open until all that was chosen of them is read."""

    def __init__(self) -> None:
        self._open: list[tarfile.TarFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._open:
            archive.close()

    def pictures(self, path: Path) -> Iterator[Found]:
        try:
            archive = tarfile.open(path)  # noqa: SIM115  closed on leaving the context
            self._open.append(archive)
            members = [member for member in archive if member.isfile() and _is_picture(member.name)]
        except (tarfile.TarError, EOFError, OSError) as error:
            raise EvaluationError(f"{path}: not a readable tar archive: {error}") from None
        for member in members:
            yield Found(member.name, partial(_content, archive, member))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, "not a regular file"
    return file.read()


def _of_source(source: str, archives: _Archives) -> Iterator[Found]:
    path = Path(source)
    paths = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(source))]
    if not paths:
        raise EvaluationError(f"{source}: no such file, folder or match")
    for path in paths:
        if path.is_dir():
            files = sorted(
                entry for entry in path.rglob("*") if entry.is_file() and _is_picture(entry.name)
            )
            yield from (Found(str(file), file.read_bytes) for file in files)
        elif path.name.lower().endswith(TAR_SUFFIXES):
            yield from archives.pictures(path)
        else:
            yield Found(str(path), path.read_bytes)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES) and not Path(name).name.startswith(".")
