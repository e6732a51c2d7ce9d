"""Classifiers as judges: what one says about a picture, counted against the true class and against the clean picture."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from progcodec.arrays import Floats
from progcodec.classification.classifier import (
    BUILTIN,
    Classifier,
    Specification,
    check_fit,
    load_classifier,
)
from progcodec.classification.classifier_file import SHIPPED
from progcodec.classification.score import predictions
from progcodec.config import LEVELS
from progcodec.errors import EvaluationError
from progcodec.hierarchy.hierarchy import Hierarchy

BATCH = 16
"""Pictures judged at a time: more are no faster on a CPU core."""


class JudgeName(NamedTuple):
    """A classifier before it is loaded.

    Attributes:
        name: for people and for the rows: the model's name and, where weights come from a file, their fingerprint.
        spec: as it was asked for.
    """

    name: str
    spec: str


class Opinion(NamedTuple):
    """What a judge says of one picture, at the three levels.

    Attributes:
        best: likeliest group or class of each level, each by itself.
        p_true, hit, wup: None if the true class is not known.
    """

    best: tuple[int, ...]
    p_true: tuple[float, ...] | None
    hit: tuple[bool, ...] | None
    wup: float | None


class Scale(NamedTuple):
    """What opinions are formed with: the hierarchy, its fingerprint, and the Wu-Palmer similarity of all its classes."""

    hierarchy: Hierarchy
    mark: str
    similarity: Floats | None

    @classmethod
    def of(cls, hierarchy: Hierarchy) -> "Scale":
        """Raises EvaluationError unless it has our three levels."""
        if hierarchy.level_names != LEVELS:
            raise EvaluationError(
                f"an evaluation needs a hierarchy with the levels {', '.join(LEVELS)}"
            )
        known = all(leaf.wnid for leaf in hierarchy.classes)
        # names may change without a new measurement; what belongs where may not
        mark = hashlib.sha256(hierarchy.assignments.tobytes()).hexdigest()[:8]
        return cls(hierarchy, mark, hierarchy.wu_palmer() if known else None)


class Judge:
    """A loaded classifier."""

    def __init__(self, name: JudgeName, classifier: Classifier, scale: Scale) -> None:
        check_fit(classifier, scale.hierarchy)
        self.name = name
        self._classifier = classifier
        self._scale = scale

    @classmethod
    def load(cls, name: JudgeName, scale: Scale, device: str) -> "Judge":
        """Raises ClassifierError and HierarchyError."""
        return cls(name, load_classifier(name.spec, device), scale)

    def of_pictures(self, pictures: Sequence[Image.Image], label: int | None) -> list[Opinion]:
        """Opinions on pictures of one class."""
        batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        return [
            opinion
            for batch in batches
            for opinion in opinions(self._classifier.predict(batch), label, self._scale)
        ]


def opinions(probabilities: Floats, label: int | None, scale: Scale) -> list[Opinion]:
    """One for each row of (N, classes) probabilities, all of pictures of one class."""
    hierarchy = scale.hierarchy
    best = predictions(probabilities, hierarchy)
    if label is None:
        return [Opinion(tuple(map(int, row)), None, None, None) for row in best]
    truth = (*hierarchy.ancestors(label), label)
    by_level = [hierarchy.aggregate(probabilities, number) for number in range(len(LEVELS))]
    return [
        Opinion(
            tuple(map(int, row)),
            tuple(float(level[place, true]) for level, true in zip(by_level, truth, strict=True)),
            tuple(bool(mine == true) for mine, true in zip(row, truth, strict=True)),
            None if scale.similarity is None else float(scale.similarity[row[-1], label]),
        )
        for place, row in enumerate(best)
    ]


def name_judge(spec: str) -> JudgeName:
    """A judge by its specification. Raises ClassifierError: it names no classifier. OSError: its file cannot be read."""
    parsed = Specification.parse(spec)
    file = parsed.file
    if parsed.library == BUILTIN and file is None:
        file = str(SHIPPED)
    if file is None:
        return JudgeName(parsed.name if "?" not in spec else spec, spec)
    options = repr(sorted({**parsed.options, **parsed.preprocessing}.items())).encode()
    return JudgeName(f"{parsed.name}#{_file_digest(file)[:5]}{_digest(options)[:3]}", spec)


@lru_cache(maxsize=16)
def _file_digest(path: str) -> str:
    return _digest(Path(path).read_bytes())


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:8]
