"""Accuracy at each level, and how near in meaning the predicted class lies. numpy only."""

from typing import NamedTuple

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.hierarchy.hierarchy import Hierarchy


class Score(NamedTuple):
    """Means over pictures.

    Attributes:
        pictures: how many were scored.
        accuracy: share of right predictions in [0, 1] at each level, coarsest first.
        wu_palmer: mean Wu-Palmer similarity in (0, 1] of the predicted and the true class, 1 where
            they are the same; None if the classes have no WordNet ids.
    """

    pictures: int
    accuracy: tuple[float, ...]
    wu_palmer: float | None


def predictions(probabilities: Floats, hierarchy: Hierarchy) -> Ints:
    """(N, classes) probabilities to (N, levels + 1) int64: the likeliest of each level *by itself*.
    Accuracy is counted on these; unlike the path of an `Answer` they need not nest.
    """
    levels = range(len(hierarchy.levels) + 1)
    return np.stack(
        [hierarchy.aggregate(probabilities, level).argmax(axis=-1) for level in levels], axis=-1
    )


def score(predicted: Ints, labels: Ints, hierarchy: Hierarchy, similarity: Floats | None) -> Score:
    """Scores predictions against true classes.

    Args:
        predicted: (N, levels + 1) integers, as :func:`predictions` gives them.
        labels: (N,) indices of the true classes.
        similarity: (classes, classes) as ``hierarchy.wu_palmer()`` gives them, or None for no
            Wu-Palmer mean.
    Raises:
        ValueError: nothing to score, or shapes that do not fit.
    """
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if len(labels) == 0 or predicted.shape != (len(labels), len(hierarchy.levels) + 1):
        raise ValueError(
            f"{predicted.shape} predictions cannot be scored against {labels.shape} labels"
        )
    truth = np.concatenate((hierarchy.assignments[:, labels], labels[None])).T
    accuracy = tuple(float(share) for share in (predicted == truth).mean(axis=0))
    near = None if similarity is None else float(similarity[predicted[:, -1], labels].mean())
    return Score(len(labels), accuracy, near)
