"""Squares of labelled pictures, for a classifier that learns from labels alone: decoded once, cropped anew every time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from progcodec.arrays import Array, Ints, Pixels
from progcodec.classification.labels import FOLDERS, load_labels
from progcodec.errors import TrainingError
from progcodec.hierarchy import Hierarchy
from progcodec.training.dataset import UNREADABLE, decode, expand, records

AREA = (0.3, 1.0)
"""Share of a picture's area that a crop shows, before what does not fit is left away."""
ASPECT = 4 / 3
"""A crop is at most so many times as wide as high, or as high as wide."""


BLURRED, BLUR = 0.6, 0.4
"""So often a square is shrunk, to this share of its side at least, and enlarged again: fine traces of how a picture was made go."""
OCTAVE_PARTS = 4
"""Pictures are of about one size if their short sides are within so small a part of an octave, rounded, or the next."""


class Labelled(NamedTuple):
    """A picture as uint8 (H, W, 3), its class, and its short side in pixels as it was stored."""

    pixels: Pixels
    label: int
    side: int


class Squares(NamedTuple):
    """`pixels` are uint8 (N, 3, side, side), channels-last in memory; `labels` int64 (N,); `places`: of which pictures, (N,)."""

    pixels: Tensor
    labels: Tensor
    places: Ints


def load_labelled(
    patterns: Sequence[str], hierarchy: Hierarchy, keep: int, quiet: bool = True
) -> list[Labelled]:
    """Every picture with a label, shrunk where its short side exceeds ``keep`` pixels. Raises TrainingError if there is none."""
    pictures: list[Labelled] = []
    label = load_labels(FOLDERS, hierarchy)
    for path in expand(patterns):
        for record in tqdm(
            records(path, label),
            desc=f"reading {path.name}",
            unit="img",
            disable=quiet,
            leave=False,
        ):
            if record.label is None:
                continue
            try:
                picture = decode(record, 1)
            except UNREADABLE:
                continue
            if picture is not None:
                side = min(picture.pixels.shape[:2])
                pictures.append(Labelled(_shrunk(picture.pixels, keep), record.label, side))
    if not pictures:
        raise TrainingError(
            f"no readable picture with a known class in {', '.join(map(str, patterns))}"
        )
    return pictures


def comparable(pictures: Sequence[Labelled], classes: int) -> tuple[Array, Array]:
    """Which classes a picture can be compared with: those that have pictures of about its size.

    Where some classes come as thumbnails and others as photographs, a network learns which is which from traces of
    scaling and compression, and nothing about the classes. Compared within a size, they can only be told apart by content.

    Returns:
        bool (sizes, classes), and for each picture its row in it, (pictures,).
    """
    part = np.rint(OCTAVE_PARTS * np.log2([picture.side for picture in pictures])).astype(int)
    labels = np.array([picture.label for picture in pictures])
    sizes, rows = np.unique(part, return_inverse=True)
    table = np.zeros((len(sizes), classes), bool)
    for row, size in enumerate(sizes):
        table[row, labels[abs(part - size) <= 1]] = True
    return table, rows


def batch_at(pictures: Sequence[Labelled], step: int, batch: int, side: int, seed: int) -> Squares:
    """The batch of a step: pictures of an epoch in a new order each epoch, cropped and mirrored at random.

    It follows from the arguments alone, so a run that is resumed goes on where it was.
    """
    random = np.random.default_rng([seed, 1, step])
    count, pixels = len(pictures), np.empty((batch, side, side, 3), np.uint8)
    places = np.array(
        [
            _order(seed, n // count, count)[n % count]
            for n in range(step * batch, (step + 1) * batch)
        ]
    )
    for row, place in enumerate(places):
        pixels[row] = crop(pictures[place].pixels, side, random)
    labels = torch.tensor([pictures[place].label for place in places])
    return Squares(torch.from_numpy(pixels).permute(0, 3, 1, 2), labels, places)


def crop(pixels: Pixels, side: int, random: np.random.Generator) -> Pixels:
    """A random part of uint8 (H, W, 3), perhaps mirrored, perhaps blurred, as (side, side, 3)."""
    height, width = pixels.shape[:2]
    area, aspect = (
        random.uniform(*AREA) * height * width,
        np.exp(random.uniform(-1, 1) * np.log(ASPECT)),
    )
    w, h = min(width, (area * aspect) ** 0.5), min(height, (area / aspect) ** 0.5)
    left, top = random.uniform(0, width - w), random.uniform(0, height - h)
    image = Image.fromarray(pixels)
    box: tuple[float, float, float, float] | None = (left, top, left + w, top + h)
    if random.random() < BLURRED:
        small = round(side * random.uniform(BLUR, 1))
        image, box = image.resize((small, small), Image.Resampling.BICUBIC, box), None
    image = image.resize((side, side), Image.Resampling.BICUBIC, box)
    shown = np.asarray(image)
    return shown[:, ::-1] if random.random() < 0.5 else shown


_orders: dict[tuple[int, int, int], Ints] = {}


def _order(seed: int, epoch: int, count: int) -> Ints:
    """The order of an epoch; the last one is kept, as each batch asks for it picture by picture."""
    key = (seed, epoch, count)
    if key not in _orders:
        while len(_orders) > 1:  # a batch may lie across two epochs
            _orders.pop(next(iter(_orders)))
        _orders[key] = np.random.default_rng([seed, 0, epoch]).permutation(count)
    return _orders[key]


def _shrunk(pixels: Pixels, keep: int) -> Pixels:
    height, width = pixels.shape[:2]
    ratio = keep / min(height, width)
    if ratio >= 1:
        return pixels
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
