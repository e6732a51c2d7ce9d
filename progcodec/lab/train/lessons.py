"""Batches for the head: coded views of one size with what is to be said about them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from progcodec.arrays import Flags, Floats, Ints
from progcodec.errors import TrainingError
from progcodec.lab.train.caching import read
from progcodec.lab.train.coded_views import CodedView, unpack
from progcodec.lab.train.views import ViewSet


class Mixing(NamedTuple):
    """How a target is made of the teacher's answer and the label.

    Attributes:
        teacher: the teacher's share where there are both its answer and a label.
        smoothing: share of the label's part that is spread over all classes.
    """

    teacher: float = 0.6
    smoothing: float = 0.1


class Lessons:
    """All coded views in memory, with their soft answers and labels."""

    def __init__(self, views: list[CodedView], labels: Ints, asked: Flags, answers: Floats) -> None:
        """
        Args:
            labels: the class of each view, -1 for none. asked: (N,) bool, whether there is an answer of the teacher.
            answers: the teacher's probabilities where it was asked, (asked, classes) float16.
        """
        self.views, self.labels, self.answers = views, labels, answers
        self._answer = np.where(asked, np.cumsum(asked) - 1, -1)

    @classmethod
    def load(
        cls, views: ViewSet, chunks: Sequence[int], coded: Sequence[Path], taught: Sequence[Path]
    ) -> "Lessons":
        """From the caches. Raises TrainingError on a damaged file in them."""
        found, labels, asked, answers = [], [], [], []
        for chunk, symbols, soft in zip(chunks, coded, taught, strict=True):
            arrays, answer = read(symbols), read(soft)
            if arrays is None or answer is None:
                raise TrainingError(
                    f"{symbols if arrays is None else soft}: damaged; delete it and start again"
                )
            found += unpack(arrays)
            labels.append(views.labels(chunk))
            asked.append(views.asked(chunk))
            answers.append(answer["probabilities"])
        return cls(found, np.concatenate(labels), np.concatenate(asked), np.concatenate(answers))

    def batches(self, positions: int, rng: np.random.Generator) -> Iterator[Ints]:
        """Places of the views of a batch, for ever: all views once, then again. A batch has one size of view.

        Args:
            positions: about as many latent positions make a batch.
        """
        sides = np.array([view.side for view in self.views])
        while True:
            batches = []
            for side in np.unique(sides):
                places = rng.permutation(np.flatnonzero(sides == side))
                count = max(1, positions // self.views[places[0]].size ** 2)
                batches += np.array_split(places, -(-len(places) // count))
            for number in rng.permutation(len(batches)):
                yield batches[number]

    def targets(self, places: Ints, mixing: Mixing) -> Tensor:
        """(N, classes) float32, rows sum to 1."""
        labels, answer = self.labels[places], self._answer[places]
        hard = np.full(
            (len(places), self.answers.shape[1]),
            mixing.smoothing / self.answers.shape[1],
            np.float32,
        )
        hard[np.arange(len(places)), labels] += 1 - mixing.smoothing
        soft = self.answers[answer].astype(np.float32) if len(self.answers) else np.zeros_like(hard)
        soft /= np.maximum(soft.sum(1, keepdims=True), 1e-6)
        share = np.where(answer < 0, 0.0, np.where(labels < 0, 1.0, mixing.teacher)).astype(
            np.float32
        )[:, None]
        return torch.from_numpy(share * soft + (1 - share) * hard)
