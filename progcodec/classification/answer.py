"""Class probabilities to an answer at each level. numpy only.

    (classes,) probabilities ─ sums over groups ─► likeliest group, in it the likeliest subgroup, …
                                                   └─── stated as far down as it is sure enough ───┘

The path is chosen from the top down, each step *inside* the parent that was chosen before: its
levels never contradict each other, and their probabilities only fall. The free argmax of a level
may lie outside of the path: it does where many small probabilities in one group outweigh one larger
in another. So the class at the path's end can differ from the first of the top classes, which is
the free one. Accuracy is counted on free argmaxes (`score.py`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Floats
from progcodec.errors import ClassifierError
from progcodec.hierarchy.hierarchy import Hierarchy, Node
from progcodec.markup import table

ARROW = " › "
CONFIDENCE = 0.5
"""Probability from which a level counts as sure: above a half no other group is likelier."""
SUM_TOLERANCE = 1e-3
DIGITS = 6
"""Decimals of probabilities in CSV and JSON."""


class Guess(NamedTuple):
    """A group or class, and how likely it is.

    Attributes:
        level: one of the hierarchy's level names.
        index: place within the level; of a class, the classifier's output.
        name: as the hierarchy has it.
        wnid: WordNet id of a class, if it has one; None for a group.
        probability: the sum over its classes.
    """

    level: str
    index: int  # type: ignore[assignment]  # hides tuple.index
    name: str
    wnid: str | None
    probability: float

    def __str__(self) -> str:
        return f"{self.name} {self.probability:.2f}"

    def to_dict(self) -> dict[str, object]:
        """As JSON has it; the WordNet id of a class that has one."""
        row = self._asdict() | {"probability": round(self.probability, DIGITS)}
        return {name: value for name, value in row.items() if value is not None}


@dataclass(frozen=True)
class Answer:
    """What a prefix shows.

    Attributes:
        path: a guess for every level, coarsest first, each inside the one before.
        stated: how many levels of the path the answer states: as far as they are sure, or down to
            the level asked for.
        asked: whether a level was asked for, sure or not.
        confidence: the probability from which a level counts as sure.
        top: the likeliest classes, best first, wherever they lie.
    """

    path: tuple[Guess, ...]
    stated: int
    asked: bool
    confidence: float
    top: tuple[Guess, ...]

    @property
    def guess(self) -> Guess | None:
        """The finest guess that the answer states; None if it states none."""
        return self.path[self.stated - 1] if self.stated else None

    @property
    def sure(self) -> bool:
        """Whether all that is stated is sure; False if nothing is stated."""
        return self.guess is not None and self.guess.probability >= self.confidence

    def __str__(self) -> str:
        """``bird 0.97 › bird of prey 0.71 (fine class unsure)``, ``unsure, perhaps bird 0.31``."""
        if not self.stated:
            return f"unsure, perhaps {self.path[0]}"
        text = ARROW.join(map(str, self.path[: self.stated]))
        if self.asked:
            return text if self.sure else f"{text} (unsure)"
        return (
            text if self.stated == len(self.path) else f"{text} ({self._title(self.stated)} unsure)"
        )

    def to_dict(self) -> dict[str, object]:
        """As JSON has it: the finest guess that is stated, the words, the path, the top classes."""
        stated = self.guess
        row: dict[str, object] = {
            "level": stated and stated.level,
            "answer": stated and stated.name,
            "probability": stated and round(stated.probability, DIGITS),
            "text": str(self),
            "path": [guess.to_dict() for guess in self.path],
        }
        return row | ({"top": [guess.to_dict() for guess in self.top]} if self.top else {})

    def _repr_html_(self) -> str:
        rows = []
        for guess in self.path:
            sure = "sure" if guess.probability >= self.confidence else "unsure"
            rows.append((guess.level, guess.name, f"{guess.probability:.1%}", sure))
        return table(str(self), ("level", "answer", "probability", ""), rows)

    def top_text(self) -> str:
        """``vulture 0.31, kite 0.22``; where names are shared, with WordNet ids or places."""
        names = Counter(guess.name for guess in self.top)
        parts = []
        for guess in self.top:
            own = "" if names[guess.name] == 1 else f" ({guess.wnid or guess.index})"
            parts.append(f"{guess.name}{own} {guess.probability:.2f}")
        return ", ".join(parts)

    def _title(self, number: int) -> str:
        name = self.path[number].level
        if number == len(self.path) - 1:
            return "class" if name == "classes" else f"{name} class"
        return name if name.startswith("level") else f"{name} group"


def answers(
    probabilities: Floats,
    hierarchy: Hierarchy,
    *,
    level: int | str | None = None,
    confidence: float = CONFIDENCE,
    top: int = 5,
) -> list[Answer]:
    """An answer for each row of class probabilities.

    Args:
        probabilities: (N, classes), rows sum to 1.
        level: state the path down to this level, sure or not. None: down to the finest level that
            is sure enough, which may be none at all.
        confidence: in [0, 1].
        top: how many of the likeliest classes come along; no more than there are.
    Raises:
        HierarchyError: no such level, or as many columns as there are not classes.
        ClassifierError: rows that are no probabilities.
    """
    if not 0 <= confidence <= 1:
        raise ValueError(f"a confidence is a probability, not {confidence}")
    if top < 0:
        raise ValueError(f"{top} top classes make no sense")
    asked = None if level is None else hierarchy.level(level)
    rows = np.asarray(probabilities, dtype=np.float64)
    if rows.ndim != 2:
        raise ClassifierError(f"{rows.shape} probabilities are not one row for each picture")
    by_level = [hierarchy.aggregate(rows, number) for number in range(len(hierarchy.sizes) + 1)]
    # NaN fails too
    if not np.all(rows >= 0) or not np.allclose(rows.sum(axis=1), 1, rtol=0, atol=SUM_TOLERANCE):
        raise ClassifierError(
            "what the classifier gave are no probabilities: they must be 0 or more, and sum to 1"
        )

    made = []
    for row in range(len(rows)):
        path = _path([values[row] for values in by_level], hierarchy)
        sure = sum(guess.probability >= confidence for guess in path)
        stated, best = sure if asked is None else asked + 1, _top(rows[row], hierarchy, top)
        made.append(Answer(path, stated, asked is not None, confidence, best))
    return made


def _path(values: Sequence[Floats], hierarchy: Hierarchy) -> tuple[Guess, ...]:
    """Top-down: the likeliest group, then the likeliest of what is in it. Of equals the first."""
    path: list[Guess] = []
    for number, probabilities in enumerate(values):
        inside = np.arange(len(probabilities))
        above = 1.0
        if path:
            inside = np.flatnonzero(hierarchy.parents(number) == path[-1].index)
            above = path[-1].probability
        index = int(inside[np.argmax(probabilities[inside])])
        # A sum in floating point can miss its parent's by a last digit.
        path.append(_guess(hierarchy, number, index, min(above, float(probabilities[index]))))
    return tuple(path)


def _top(probabilities: Floats, hierarchy: Hierarchy, count: int) -> tuple[Guess, ...]:
    order = np.argsort(-probabilities, kind="stable")[:count]
    level = len(hierarchy.levels)
    return tuple(
        _guess(hierarchy, level, int(index), float(probabilities[index])) for index in order
    )


def _guess(hierarchy: Hierarchy, number: int, index: int, probability: float) -> Guess:
    wnid = hierarchy.classes[index].wnid if number == len(hierarchy.levels) else None
    name = hierarchy.name(Node(number, index))
    return Guess(hierarchy.level_names[number], index, name, wnid, probability)
