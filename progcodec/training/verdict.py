"""How good a judge is on clean, held-out pictures."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from progcodec.classification.classifier import Specification, described
from progcodec.classification.pixel import BATCH, PixelClassifier
from progcodec.classification.score import Score, predictions, score
from progcodec.hierarchy import Hierarchy
from progcodec.training.dataset import expand
from progcodec.training.squares import load_labelled


@dataclass(frozen=True)
class Verdict:
    """How good a judge is on a shard of clean, held-out pictures: all of them, and those of classes that it has met."""

    shard: str
    all: Score
    met: Score | None


def judge_clean(path: str, val: Sequence[str], device: str = "auto") -> list[Verdict]:
    """The judge of a file on the clean pictures of each shard or folder that `val` names."""
    hierarchy = Hierarchy.load()
    judge = PixelClassifier.load(Specification.parse(path), device)
    known = np.array([int(place) for place in described(path).get("labelled", "").split()])
    similarity, verdicts = hierarchy.wu_palmer(), []
    for shard in expand(val):
        pictures = load_labelled([str(shard)], hierarchy, sys.maxsize)
        labels = np.array([picture.label for picture in pictures])
        batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        rows = [
            judge.predict([Image.fromarray(picture.pixels) for picture in batch])
            for batch in batches
        ]
        best = predictions(np.concatenate(rows), hierarchy)
        met = np.isin(labels, known)
        of_met = score(best[met], labels[met], hierarchy, similarity) if met.any() else None
        verdicts.append(
            Verdict(shard.name.split(".")[0], score(best, labels, hierarchy, similarity), of_met)
        )
    return verdicts


def table(verdicts: Sequence[Verdict]) -> str:
    """Accuracy in per cent at each level, and the Wu-Palmer similarity."""
    width = max(len(verdict.shard) for verdict in verdicts)
    lines = [
        f"{'shard':{width}} {'pictures':>15} {'number':>6} {'K=10':>6} {'K=100':>6} {'K=1000':>6} {'WUP':>6}"
    ]
    for verdict in verdicts:
        for which, found in (("all", verdict.all), ("met in training", verdict.met)):
            if found is not None:
                figures = " ".join(f"{100 * share:6.1f}" for share in found.accuracy)
                lines.append(
                    f"{verdict.shard:{width}} {which:>15} {found.pictures:6} {figures} {found.wu_palmer or 0:6.3f}"
                )
    return "\n".join(lines)
