"""What a classifier learns from: views of the training pictures, the same ones for the same seed.

A view is a crop of a picture, perhaps mirrored, at a size in pixels. Small pictures are enlarged, large ones shrunk, so that
an object covers about as many pixels as it does in a photograph of 224 pixels and more. Views come in chunks of one
size: a chunk is what is rendered, asked about, encoded and cached together, and any first chunks are a fair sample of all.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from progcodec.arrays import Flags, Ints
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.dataset import UNREADABLE, expand, records

SIDES = (84, 96, 112, 128, 160, 192, 224, 256)
"""Sizes of views in pixels; a picture's are those between its own short side (or 128) and twice that (or 256)."""
SMALL = 128
"""A picture with a shorter side is small."""
CHUNK = 128
AREA = {True: (0.5, 1.0), False: (0.25, 1.0)}
"""Share of a picture's area that a view shows, by whether the picture is small."""
ASPECT = 4 / 3


class Picture(NamedTuple):
    """An encoded picture, its size, and the index of its class if it has a label."""

    data: bytes
    width: int
    height: int
    label: int | None

    @property
    def small(self) -> bool:
        return min(self.width, self.height) < SMALL


class View(NamedTuple):
    """Which picture, the crop (left, top, right, bottom) in its pixels, whether mirrored, and pixels a side."""

    picture: int
    box: tuple[float, float, float, float]
    mirrored: bool
    side: int


Source = tuple[bytes, View]
"""What :func:`render` needs."""


@dataclass(frozen=True)
class ViewCounts:
    """Views of a small picture, of a larger one with a label, of a larger one without."""

    small: int = 1
    labelled: int = 3
    unlabelled: int = 10

    def of(self, picture: Picture) -> int:
        if picture.small:
            return self.small
        return self.unlabelled if picture.label is None else self.labelled


@dataclass(frozen=True)
class ViewSet:
    """Pictures and the chunks of their views; ``key`` names exactly this set, for caches."""

    pictures: list[Picture]
    chunks: list[list[View]]
    key: str

    def labels(self, chunk: int) -> Ints:
        """(N,) int64: the class of each view; -1 where there is no label."""
        labels = [self.pictures[view.picture].label for view in self.chunks[chunk]]
        return np.array([-1 if label is None else label for label in labels], np.int64)

    def asked(self, chunk: int) -> Flags:
        """(N,) bool: whether a teacher is asked about each view. Of a small picture the label says more than it would."""
        pictures = [self.pictures[view.picture] for view in self.chunks[chunk]]
        return np.array([picture.label is None or not picture.small for picture in pictures])

    def sources(self, chunk: int) -> list[Source]:
        """Each view, ready to be rendered."""
        return [(self.pictures[view.picture].data, view) for view in self.chunks[chunk]]


def read_pictures(
    patterns: Sequence[str], hierarchy: Hierarchy, quiet: bool = True
) -> list[Picture]:
    """The pictures of shards and folders. The folder that a picture lies in names its class, by WordNet id.

    A picture in any other folder has no label. Unreadable ones are left out. Raises TrainingError if none is left.
    """
    index = {leaf.wnid: place for place, leaf in enumerate(hierarchy.classes) if leaf.wnid}
    pictures = []
    for path in expand(patterns):
        found = records(path, lambda name: index.get(Path(name).parent.name))
        for record in tqdm(
            found, desc=f"reading {path.name}", unit="img", disable=quiet, leave=False
        ):
            data = Path(record.name).read_bytes() if record.data is None else record.data
            try:
                with Image.open(io.BytesIO(data)) as image:
                    width, height = image.size
            except UNREADABLE:
                continue
            pictures.append(Picture(data, width, height, record.label))
    if not pictures:
        raise TrainingError(f"no readable picture in {', '.join(map(str, patterns))}")
    return pictures


def plan(pictures: list[Picture], counts: ViewCounts, seed: int) -> ViewSet:
    """Draws the views."""
    rng = np.random.default_rng(seed)
    by_side: dict[int, list[View]] = {side: [] for side in SIDES}
    for number, picture in enumerate(pictures):
        for _ in range(counts.of(picture)):
            view = _draw(number, picture, rng)
            by_side[view.side].append(view)
    chunks = []
    for views in by_side.values():
        shuffled = [views[place] for place in rng.permutation(len(views))]
        chunks += [shuffled[start : start + CHUNK] for start in range(0, len(shuffled), CHUNK)]
    chunks = [chunks[place] for place in rng.permutation(len(chunks))]
    digest = hashlib.sha256(repr((SIDES, SMALL, CHUNK, AREA, ASPECT, counts, seed)).encode())
    for picture in pictures:
        digest.update(hashlib.sha256(picture.data).digest())
    return ViewSet(pictures, chunks, digest.hexdigest()[:12])


def _draw(number: int, picture: Picture, rng: np.random.Generator) -> View:
    short = min(picture.width, picture.height)
    low, high = min(short, SIDES[3]), min(2 * short, SIDES[-1])
    sides = [side for side in SIDES if low <= side <= high] or [SIDES[0]]
    area = picture.width * picture.height * rng.uniform(*AREA[picture.small])
    aspect = np.exp(rng.uniform(-1, 1) * np.log(ASPECT))
    width, height = (
        min((area * aspect) ** 0.5, picture.width),
        min((area / aspect) ** 0.5, picture.height),
    )
    left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
    return View(
        number,
        (left, top, left + width, top + height),
        bool(rng.random() < 0.5),
        int(rng.choice(sides)),
    )


def render(data: bytes, view: View, side: int | None = None) -> Image.Image:
    """The view as a square RGB picture of its own side, or of another one. Raises TrainingError on a damaged picture."""
    side = side or view.side
    try:
        with Image.open(io.BytesIO(data)) as image:
            shown = image.convert("RGB").resize(
                (side, side), Image.Resampling.BICUBIC, box=view.box
            )
    except UNREADABLE as error:
        raise TrainingError(f"a training picture is damaged ({error})") from None
    return shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.mirrored else shown
