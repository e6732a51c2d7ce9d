"""Classifiers as judges: what one sees in a picture, at the three levels."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from progcodec import assets
from progcodec.arrays import Ints
from progcodec.classification.classifier import BUILTIN, Specification, check_fit
from progcodec.classification.pixel import PixelClassifier
from progcodec.classification.score import predictions
from progcodec.config import LEVELS
from progcodec.errors import EvaluationError
from progcodec.hierarchy.hierarchy import Hierarchy

BATCH = 16
"""Pictures judged at a time: more are no faster on a CPU core."""


class Judge(NamedTuple):
    """A classifier before it is loaded.

    Attributes:
        name: the model's, and the fingerprint of all that its answers depend on: weights from a
            file, options, groups.
        spec: as it was asked for.
        only: the one codec whose pictures it judges, because it was adapted to these; None for all
            codecs.
    """

    name: str
    spec: str
    only: str | None = None

    @property
    def is_builtin(self) -> bool:
        return self.only is None and self.spec.startswith(BUILTIN)

    @classmethod
    def named(cls, spec: str, hierarchy: Hierarchy, only: str | None = None) -> "Judge":
        """Raises ClassifierError: no such classifier. OSError: its file cannot be read."""
        parsed = Specification.parse(spec)
        options = repr(sorted({**parsed.options, **parsed.preprocessing}.items())).encode()
        parts = [options, hierarchy.assignments.tobytes()]
        if parsed.file:
            parts.append(Path(parsed.file).read_bytes())
        elif parsed.library == BUILTIN:
            shipped = sorted((assets.FOLDER / "classifiers").glob("*.safetensors"))
            parts += [path.read_bytes() for path in shipped]
        mark = hashlib.sha256(b"\0".join(parts)).hexdigest()[:6]
        return cls(f"{f'{only}: ' if only else ''}{parsed.name}#{mark}", spec, only)


class LoadedJudge:
    """Raises ClassifierError and HierarchyError."""

    def __init__(self, judge: Judge, hierarchy: Hierarchy, device: str) -> None:
        self._classifier = PixelClassifier.load(Specification.parse(judge.spec), device)
        check_fit(self._classifier, hierarchy)
        self._hierarchy = hierarchy

    def answers(self, pictures: Sequence[Image.Image], received: Sequence[float]) -> Ints:
        """The likeliest group or class of each level, (N, 3).

        Args:
            received: bytes of each picture that were received; infinite for a clean one.
        """
        rows: list[Ints] = [np.empty((0, len(LEVELS)), np.int64)]
        for start in range(0, len(pictures), BATCH):
            batch = slice(start, start + BATCH)
            bits = 8 * np.array(received[batch], np.float64)
            probabilities = self._classifier.predict(pictures[batch], bits)
            rows.append(predictions(probabilities, self._hierarchy))
        return np.concatenate(rows)


def load_hierarchy(path: str | None) -> Hierarchy:
    """Raises EvaluationError unless it has our three levels."""
    hierarchy = Hierarchy.load(path)
    if hierarchy.level_names != LEVELS:
        listed = ", ".join(LEVELS)
        raise EvaluationError(f"an evaluation needs a hierarchy with the levels {listed}")
    return hierarchy
