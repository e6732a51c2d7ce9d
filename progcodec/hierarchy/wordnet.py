"""What WordNet knows about a set of classes: their ancestors, and from these how alike two classes
are.

The facts come from a small JSON of our own: the 1000 ImageNet classes and all their ancestors are
shipped. Synsets are named as ImageNet names them: "n" and the 8-digit offset.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from progcodec import assets
from progcodec.arrays import Floats, Ints
from progcodec.errors import HierarchyError

SHIPPED = assets.FOLDER / "hierarchy" / "wordnet_imagenet1k.json"


class Synset(NamedTuple):
    """One meaning: its words, the most usual first, and its direct hypernyms."""

    lemmas: tuple[str, ...]
    hypernyms: tuple[str, ...]


class Taxonomy:
    """A part of WordNet's noun hierarchy, closed upwards: with a synset it holds all ancestors."""

    def __init__(self, synsets: dict[str, Synset]) -> None:
        for wnid, synset in synsets.items():
            for parent in synset.hypernyms:
                if parent not in synsets:
                    raise HierarchyError(f"synset {wnid} has the unknown hypernym {parent}")
        self.synsets = synsets
        self._above: dict[str, dict[str, int]] = {}

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Taxonomy":
        """From JSON {"synsets": {id: {"lemmas": [...], "hypernyms": [...]}}}, or the shipped."""
        path = SHIPPED if path is None else Path(path)
        content = read_json(path)
        try:
            rows = content["synsets"].items()
            return cls(
                {wnid: Synset(tuple(row["lemmas"]), tuple(row["hypernyms"])) for wnid, row in rows}
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise HierarchyError(f"{path} is no file of WordNet facts") from error

    def above(self, wnid: str) -> dict[str, int]:
        """Each ancestor of a synset, itself included, with the fewest steps up to it."""
        if wnid not in self.synsets:
            raise HierarchyError(f"the WordNet facts at hand do not know {wnid}")
        if wnid not in self._above:
            steps = {wnid: 0}
            for parent in self.synsets[wnid].hypernyms:
                for ancestor, more in self.above(parent).items():
                    steps[ancestor] = min(steps.get(ancestor, more + 1), more + 1)
            self._above[wnid] = steps
        return self._above[wnid]

    @cached_property
    def _depths(self) -> dict[str, tuple[int, int]]:
        """Nodes on the shortest and the longest way from the root to a synset, ends included."""
        depths: dict[str, tuple[int, int]] = {}

        def visit(wnid: str) -> tuple[int, int]:
            if wnid not in depths:
                parents = [visit(parent) for parent in self.synsets[wnid].hypernyms] or [(0, 0)]
                low, high = zip(*parents, strict=True)
                depths[wnid] = 1 + min(low), 1 + max(high)
            return depths[wnid]

        for wnid in self.synsets:
            visit(wnid)
        return depths

    def path(self, wnid: str) -> list[str]:
        """The shortest way from the root to a synset; of equals, that of the smallest offsets."""
        way = [wnid]
        while parents := self.synsets[way[-1]].hypernyms:
            way.append(min(parents, key=lambda parent: (self._depths[parent][0], parent)))
        return way[::-1]

    def wu_palmer(self, wnids: Sequence[str]) -> Floats:
        """(n, n) float64 similarities in (0, 1], 1 on the diagonal: 2 depth(lcs) / (depth(a) +
        depth(b)).

        A synset has several ways to the root, so depth needs a convention, and it is that of nltk's
        `wup_similarity`: the lowest common subsumer (lcs) is the one with the greatest *shortest*
        way to the root (of equals a itself, then the first by name); its depth is the *longest*
        way, the root counting 1; the depths of a and b are that depth plus the fewest steps, up and
        down, between it and them. One difference: a is always 1 to itself, while nltk gives less
        where a second, shorter way to the root makes one of its ancestors pass for the lowest.
        """
        depths = self._depths
        order = sorted(
            self.synsets,
            key=lambda wnid: (-depths[wnid][0], self.synsets[wnid].lemmas[0].lower(), wnid),
        )
        column = {wnid: place for place, wnid in enumerate(order)}
        steps = np.full((len(wnids), len(order)), -1, dtype=np.int64)
        for row, wnid in enumerate(wnids):
            for ancestor, count in self.above(wnid).items():
                steps[row, column[ancestor]] = count
        longest = np.array([self._depths[wnid][1] for wnid in order])
        shortest = np.array([self._depths[wnid][0] for wnid in order])

        apart: dict[int, Ints] = {}
        """Fewest steps between a synset and each of the `wnids`: up to a shared ancestor, down."""

        def distances(place: int) -> Ints:
            if place not in apart:
                up = self.above(order[place])
                reached = steps[:, [column[ancestor] for ancestor in up]]
                apart[place] = np.where(reached >= 0, reached + list(up.values()), len(order)).min(
                    axis=1
                )
            return apart[place]

        similarity = np.empty((len(wnids), len(wnids)))
        for row, wnid in enumerate(wnids):
            own = np.flatnonzero(steps[row] >= 0)
            # stable: names stay in order
            own = own[np.lexsort((own != column[wnid], -shortest[own]))]
            shared = steps[:, own] >= 0
            if not shared.any(axis=1).all():
                raise HierarchyError("the WordNet facts at hand have no common root")
            common = own[shared.argmax(axis=1)]
            depth = longest[common]
            both = 2 * depth
            for place in np.unique(common):
                here = common == place
                both[here] += distances(place)[row] + distances(place)[here]
            similarity[row] = 2 * depth / both
            similarity[row, [other == wnid for other in wnids]] = 1.0
        return similarity


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises HierarchyError for anything else, OSError."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise HierarchyError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise HierarchyError(f"{path} is not a JSON object")
    return content
