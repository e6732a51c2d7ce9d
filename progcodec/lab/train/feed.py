"""What a run is fed: crops, and whole pictures for its class term, from memory or from streams."""

import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from progcodec.classification.labels import FOLDERS, load_labels
from progcodec.errors import TrainingError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.train.dataset import InMemory, Labels, Picture, Source, load_pictures, short_side
from progcodec.lab.train.parallel import Parallel
from progcodec.lab.train.sampling import Ahead, Batch, CropSampler, Key, Sampler, WholeSampler
from progcodec.lab.train.settings import TrainSettings
from progcodec.lab.train.stream import Position, Share, Stream

CLASS_MIN_SIDE = 200
"""Pixels: classifiers say too little about smaller pictures to teach anything."""
WORKERS_MAX = 8
STREAM_SEEDS = (1, 2)
"""Added to the run's seed for the order of crops' and whole pictures' streams."""

Positions = tuple[Position | None, Position | None]


class Food(NamedTuple):
    """One pass's batches; `whole` only where it was asked for. uint8 (N, 3, H, W) each."""

    crops: Tensor
    whole: Tensor | None
    labels: tuple[int | None, ...]


class Feed:
    """The batches of one process.

    What they are follows from settings, step and pass alone (streams: and position).

    Attributes:
        about: what it holds, for people.
    """

    def __init__(
        self, settings: TrainSettings, parallel: Parallel, positions: list[Positions], quiet: bool
    ) -> None:
        """Raises TrainingError: no usable images."""
        s = self._settings = settings
        on_gpu = parallel.device.type == "cuda"
        workers = s.workers
        if workers is None:
            workers = min(WORKERS_MAX, os.cpu_count() or 1) if on_gpu else 0
        labels = load_labels(FOLDERS, Hierarchy.load(s.hierarchy)) if s.teachers else None
        least = min(s.crop, CLASS_MIN_SIDE) if s.teachers else s.crop
        # A limit bounds the memory by itself.
        memory = None if s.limit is not None else s.memory_gb * 1e9
        loaded = load_pictures(s.data, least, s.limit, quiet, labels, memory)
        crops, whole = (
            self._streams(parallel, positions, workers, labels)
            if loaded is None
            else self._in_memory(loaded)
        )
        self.about = "streamed images" if loaded is None else f"{len(loaded)} images"
        # The passes of all processes count through: what they see together does not depend on who
        # runs which.
        self._first_pass = parallel.rank * s.accumulate
        self._crops = CropSampler(crops, s.crop, s.batch, s.seed)
        self._crops.drawn, self._crops.tiny = s.drawn, s.tiny
        cutters = workers if loaded is not None else 0  # a stream reads ahead by itself
        self._crops_ahead = Ahead(self._crops.at, cutters, on_gpu)
        self._whole_ahead = None
        if whole:
            sampler = WholeSampler(whole, s.class_side, s.class_batch, s.seed + 1)
            self._whole_ahead = Ahead(sampler.at, cutters, on_gpu)
        self.positions: Positions = (None, None)

    def _in_memory(self, pictures: list[Picture]) -> tuple[Source, Source | None]:
        s = self._settings
        large = [one for one in pictures if s.teachers and short_side(one) >= CLASS_MIN_SIDE]
        if s.teachers and not large:
            raise TrainingError(
                f"the class term needs images of at least {CLASS_MIN_SIDE} pixels a side"
            )
        fitting = [picture for picture in pictures if short_side(picture) >= s.crop]
        if not fitting:
            raise TrainingError(f"no image of at least {s.crop} pixels a side")
        return InMemory(fitting), InMemory(large) if large else None

    def _streams(
        self, parallel: Parallel, positions: list[Positions], workers: int, labels: Labels | None
    ) -> tuple[Source, Source | None]:
        s = self._settings
        if len(positions) == parallel.world:
            starts = tuple(position or Position() for position in positions[parallel.rank])
        else:  # another number of processes deals the pictures out anew
            epochs = [position.epoch for pair in positions for position in pair if position]
            starts = (Position(max(epochs, default=-1) + 1),) * 2
        share = Share(parallel.rank, parallel.world)
        buffer = max(1, s.buffer)
        least = (s.crop, CLASS_MIN_SIDE)
        made = [
            Stream(s.data, side, s.seed + seed, share, buffer, workers, labels, start)
            for side, seed, start in zip(least, STREAM_SEEDS, starts, strict=True)
        ]
        return made[0], made[1] if s.teachers else None

    def starting_crops(self, count: int) -> Tensor:
        """uint8 (about count, 3, crop, crop): what a model or its densities start from."""
        batches = max(1, count // self._settings.batch)
        keys = [(number, 0, 0, 1) for number in range(batches)]
        return torch.cat([Sampler.at(self._crops, key).pixels for key in keys])  # none of them tiny

    def take(self, step: int, number: int, attempt: int, whole: bool) -> Food:
        """The batches of pass ``number`` of this process in a step; another attempt gives
        others.
        """
        key = (step, self._first_pass + number, attempt)
        crops = self._crops_ahead.get(key, self._onwards(step, 1))
        seen: Batch | None = None
        if whole and self._whole_ahead is not None:
            seen = self._whole_ahead.get(key, self._onwards(step, self._settings.class_every))
        self.positions = crops.position, seen.position if seen else self.positions[1]
        return Food(crops.pixels, seen.pixels if seen else None, seen.labels if seen else ())

    def _onwards(self, step: int, every: int) -> Iterator[Key]:
        for later in itertools.count(step, every):
            for number in range(self._settings.accumulate):
                yield later, self._first_pass + number, 0
