"""Batches: random crops for rate and distortion, whole pictures for the class term.

What a batch is follows from the seed and a key (step, pass, …) alone, and from where the source
stands, so a run that is resumed sees what it would have seen.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from progcodec.arrays import Pixels
from progcodec.lab.train.dataset import Picture, Source
from progcodec.lab.train.drawn import draw
from progcodec.lab.train.stream import Position, Stream

TINY_SIDES = 16, 32, 48
SHRINK_SHARE = 0.25
"""Share of the crops that are taken larger and shrunk."""
WHOLE_SHARE = 7 / 8
"""Smallest share of a short side that a whole picture's square shows: the customary 224 of 256
pixels."""

Key: TypeAlias = tuple[int, ...]
"""What a batch's randomness hangs on."""


class Cut(NamedTuple):
    """A square of a picture, to be shrunk or enlarged to the side that is wanted."""

    picture: Picture
    top: int
    left: int
    side: int
    flipped: bool

    def pixels(self, side: int) -> Pixels:
        """uint8 (side, side, 3)."""
        piece = self.picture.pixels[
            self.top : self.top + self.side, self.left : self.left + self.side
        ]
        if self.side != side:
            piece = np.asarray(
                Image.fromarray(piece).resize((side, side), Image.Resampling.LANCZOS)
            )
        return piece[:, ::-1] if self.flipped else piece


class Batch(NamedTuple):
    """`pixels` are uint8 (N, 3, side, side), channels-last in memory."""

    pixels: Tensor
    labels: tuple[int | None, ...]
    position: Position | None  # of a streamed source, after this batch


class Sampler:
    """Batches of squares of one side, cut from a source's pictures.

    Args:
        side: pixels, a multiple of 16.
    """

    def __init__(self, source: Source, side: int, batch: int, seed: int) -> None:
        self.source, self.side, self.batch, self.seed = source, side, batch, seed

    def _picture(self, random: np.random.Generator) -> Picture:
        return self.source.draw(random)

    def _cut(self, picture: Picture, random: np.random.Generator) -> Cut:
        raise NotImplementedError

    def at(self, key: Key) -> Batch:
        """The batch of a key."""
        random = np.random.default_rng([self.seed, *key])
        cuts = [self._cut(self._picture(random), random) for _ in range(self.batch)]
        pixels = np.stack([cut.pixels(self.side) for cut in cuts])
        position = self.source.position if isinstance(self.source, Stream) else None
        return Batch(
            torch.from_numpy(pixels).permute(0, 3, 1, 2),
            tuple(cut.picture.label for cut in cuts),
            position,
        )


class CropSampler(Sampler):
    """Random crops, flipped, some from a shrunken image.

    Each picture must be at least ``side`` a side.

    Shrinking (by up to 0.5) shows the network scales that it will meet in photographs of
    other sizes, and averages the artefacts of the training JPEGs away.

    Attributes:
        drawn: share of the crops that ``drawn.py`` makes.
        tiny: share of the batches of which only the first 16, 32 or 48 pixels a side are kept.
    """

    drawn = tiny = 0.0

    def at(self, key: Key) -> Batch:
        batch = super().at(key)
        if self.tiny:
            random = np.random.default_rng([self.seed, *key, len(key)])
            if random.random() < self.tiny:
                side = int(random.choice(TINY_SIDES))
                batch = batch._replace(pixels=batch.pixels[:, :, :side, :side])
        return batch

    def _picture(self, random: np.random.Generator) -> Picture:
        if self.drawn and random.random() < self.drawn:
            return Picture(draw(random, self.side))
        return super()._picture(random)

    def _cut(self, picture: Picture, random: np.random.Generator) -> Cut:
        height, width = picture.pixels.shape[:2]
        side = self.side
        if random.random() < SHRINK_SHARE:
            side = min(round(self.side / random.uniform(0.5, 1.0)), height, width)
        return _place(picture, side, random)


class WholeSampler(Sampler):
    """Nearly whole pictures: a square of at least 7/8 of the short side, in the middle third of a
    long one's play, flipped.
    """

    def _cut(self, picture: Picture, random: np.random.Generator) -> Cut:
        short = min(picture.pixels.shape[:2])
        side = short
        if short > self.side:
            side = round(random.uniform(max(WHOLE_SHARE * short, self.side), short))
        return _place(picture, side, random, play=1 / 3)


def _place(picture: Picture, side: int, random: np.random.Generator, play: float = 1.0) -> Cut:
    """A square anywhere, or within the middle `play` of where it could be."""

    def offset(length: int) -> int:
        room = length - side
        margin = int(room * (1 - play) / 2)
        return int(margin + random.integers(room - 2 * margin + 1))

    height, width = picture.pixels.shape[:2]
    return Cut(picture, offset(height), offset(width), side, bool(random.random() < 0.5))


class _ByKey(Dataset[Batch]):
    def __init__(self, make: Callable[[Key], Batch]) -> None:
        self._make = make

    def __getitem__(self, key: Key) -> Batch:
        return self._make(key)


class Ahead:
    """Has other processes make the batches that will most likely be asked for next.

    Args:
        make: gives the batch of a key, and nothing but the key counts.
        workers: processes; 0: batches are made when they are asked for.
        pinned: batches come in memory that a GPU copies from fast.
    """

    def __init__(self, make: Callable[[Key], Batch], workers: int, pinned: bool) -> None:
        self._make, self._workers, self._pinned = make, workers, pinned
        self._expected: Iterator[Key] = iter(())
        self._made: Iterator[Batch] | None = None

    def get(self, key: Key, onwards: Iterator[Key]) -> Batch:
        """The batch of `key`. ``onwards``, which the first call looks at: what will be asked for,
        from this key on.
        """
        if self._workers == 0:
            return self._make(key)
        if self._made is None:
            self._expected, keys = itertools.tee(onwards)
            self._next = next(self._expected)
            loader = DataLoader(
                _ByKey(self._make),
                sampler=keys,
                batch_size=None,
                num_workers=self._workers,
                collate_fn=_as_it_is,
                pin_memory=self._pinned,
                multiprocessing_context="fork",  # the pictures are there already
                prefetch_factor=4,
                generator=torch.Generator(),
            )
            self._made = iter(loader)
        if key != self._next:  # another attempt at a step
            return self._make(key)
        self._next = next(self._expected)
        return next(self._made)


def _as_it_is(batch: Any) -> Any:
    return batch
