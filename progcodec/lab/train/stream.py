"""Pictures of sets that do not fit in memory, in shuffled order, each process its own share,
resumable.

    tar shards ─┐ shuffled, one after the other      ┌────────────────┐
                ├───────────────────────────────────►│ shuffle buffer │─► decode ahead, in threads
    files ──────┘ shuffled, in chunks                └────────────────┘

The buffer holds pictures as stored (compressed bytes, or for loose files their names) and empties
at the end of an epoch, so every epoch serves every picture once. The order follows from the seed,
the epoch and the share alone: a run goes on from a :class:`Position` by going over the epoch again
up to it, without decoding.
"""

import collections
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progcodec.errors import TrainingError
from progcodec.lab.train.dataset import (
    Labels,
    Picture,
    Record,
    decode,
    expand,
    is_tar,
    loose_files,
    nothing_usable,
    records,
)

CHUNK = 500
"""Loose files that come one after another before a tar shard may."""
AHEAD = 4
"""Pictures that are decoded ahead for each thread."""


class Position(NamedTuple):
    """Records of an epoch that have been taken from a stream, usable or not."""

    epoch: int = 0
    taken: int = 0


class Share(NamedTuple):
    """Part `index` of `count` equal parts."""

    index: int = 0  # type: ignore[assignment]  # hides tuple.index
    count: int = 1  # type: ignore[assignment]  # hides tuple.count


class Stream:
    """An endless source of pictures. See :class:`progcodec.lab.train.dataset.Source`.

    Tar shards are dealt out whole where there are enough of them, else each share takes every
    so-manieth member.

    Attributes:
        position: after the last picture that was drawn.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        min_side: int,
        seed: int,
        share: Share = Share(),  # noqa: B008
        buffer: int = 4000,
        workers: int = 0,
        labels: Labels | None = None,
        start: Position = Position(),  # noqa: B008
    ) -> None:
        """Raises TrainingError if a pattern fits nothing, or there is not one picture for this
        share.
        """
        paths = expand(patterns)
        tars = [path for path in paths if is_tar(path)]
        files = [name for path in paths if not is_tar(path) for name in loose_files(path)]
        self._by_member = len(tars) < share.count
        self._tars = tars if self._by_member else tars[share.index :: share.count]
        self._files = files[share.index :: share.count]
        if not self._tars and not self._files:
            raise TrainingError(f"{len(files)} images are too few for {share.count} parts")
        self._min_side, self._seed, self._share = min_side, seed, share
        self._buffer, self._workers, self._labels = buffer, workers, labels
        self.position = start
        self._pictures = self._decoded(start)

    def draw(self, random: np.random.Generator) -> Picture:
        """The next picture; its order is the stream's own, not `random`'s.

        Raises TrainingError: an epoch without any.
        """
        self.position, picture = next(self._pictures)
        return picture

    def _unshuffled(self, random: np.random.Generator) -> Iterator[Record]:
        names = [self._files[place] for place in random.permutation(len(self._files))]
        units: list[Path | list[str]] = [
            *self._tars,
            *(names[i : i + CHUNK] for i in range(0, len(names), CHUNK)),
        ]
        for place in random.permutation(len(units)):
            unit = units[place]
            if isinstance(unit, list):
                yield from (
                    Record(name, None, self._labels(name) if self._labels else None)
                    for name in unit
                )
            elif self._by_member:
                yield from itertools.islice(
                    records(unit, self._labels), self._share.index, None, self._share.count
                )
            else:
                yield from records(unit, self._labels)

    def _epoch(self, epoch: int) -> Iterator[Record]:
        random = np.random.default_rng([self._seed, epoch, self._share.index])
        pool: list[Record] = []
        for record in self._unshuffled(random):
            if len(pool) < self._buffer:
                pool.append(record)
                continue
            place = int(random.integers(len(pool)))
            yield pool[place]
            pool[place] = record
        yield from (pool[place] for place in random.permutation(len(pool)))

    def _decoded(self, start: Position) -> Iterator[tuple[Position, Picture]]:
        for epoch in itertools.count(start.epoch):
            skipped = start.taken if epoch == start.epoch else 0
            order = enumerate(itertools.islice(self._epoch(epoch), skipped, None), skipped + 1)
            used = small = broken = 0
            for taken, outcome in self._ahead(order):
                if isinstance(outcome, Picture):
                    used += 1
                    yield Position(epoch, taken), outcome
                elif outcome is None:
                    small += 1
                else:
                    broken += 1
            if not used and not skipped:
                raise nothing_usable(self._min_side, small, broken)

    def _ahead(
        self, order: Iterator[tuple[int, Record]]
    ) -> Iterator[tuple[int, Picture | None | Exception]]:
        """Outcomes in order, while threads work on the next ones."""
        if not self._workers:
            yield from ((taken, decode(record, self._min_side)) for taken, record in order)
            return
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: collections.deque[tuple[int, Future[Picture | Exception | None]]] = (
                collections.deque()
            )
            try:
                for taken, record in order:
                    waiting.append((taken, pool.submit(decode, record, self._min_side)))
                    if len(waiting) > AHEAD * self._workers:
                        first, future = waiting.popleft()
                        yield first, future.result()
                while waiting:
                    first, future = waiting.popleft()
                    yield first, future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
