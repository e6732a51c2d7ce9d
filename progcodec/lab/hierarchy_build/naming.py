"""A short human name for every group: the WordNet ancestors whose classes match the group's best.

Match is the F-measure of the ancestor's classes against the group's, with recall counting twice: a
name that is false for a member is worse than one that would fit classes elsewhere. Classes outside
the parent group do not count, as a name is read after its parent's: "mammal › feline". And

- a synset is spoken of by its everyday word, and one without any is no candidate; words that
  WordNet
  lacks join in (words.py, kinds.py);
- where one ancestor matches badly, two or three that share nothing may stand together: "reptile or
  invertebrate";
- a name that is not true of most members admits it: "parrot or the like";
- a name is given once, to the group that it matches best, coarser levels first.

Classes without WordNet ids name their group after the one that stands nearest to its middle.
"""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Flags, Floats, Ints
from progcodec.errors import HierarchyError
from progcodec.hierarchy.hierarchy import Leaf
from progcodec.hierarchy.wordnet import Taxonomy
from progcodec.lab.hierarchy_build.kinds import FAMILIES, holds
from progcodec.lab.hierarchy_build.words import WORDS, everyday

RECALL = 4.0
"""The square of the weight of recall beside precision."""
PART_GAIN = 0.07
"""What a second and a third ancestor must each add to the match: one word reads better than two."""
PART_SHARE = (0.09, 0.2)
"""Each of several words must hold this share of a group, of the first level and below, and two
classes at the least."""
PARTS = (3, 3)
"""Most words in a name, at the first level and below: the finer name follows the coarser."""
PAIRED = 24
"""Best single ancestors of which pairs are tried."""
ENOUGH = 0.18
"""A name that matches less than this says nothing about the group; its most central class does."""
REACH = 0.25
"""A name must hold for this share of the members, or the most central class says more."""
MOST = 0.6
"""A name that holds for a smaller share of the members is followed by "or the like"."""
LIKE = " or the like"
FEW = 3
"""So few classes of one group, without a word of WordNet's, are all named."""
TELLING = 0.8
"""An ancestor of more than this share of the parent group's classes does not tell its groups
apart."""
ODD = {"wheeled vehicle": "container", "menu": "food", "plate": "food"}
"""Links of WordNet that nobody follows in a picture: below the first, the second word is no
name."""


class Match(NamedTuple):
    """A candidate. `score` is the F-measure less what its extra words must earn, or below 0 for a
    central class."""

    score: float
    name: str


def names(
    levels: Sequence[Ints], rows: Floats, classes: Sequence[Leaf], taxonomy: Taxonomy | None
) -> list[list[tuple[str, float]]]:
    """(name, match) of every group, level by level; the match is 0 for a name that is not from
    WordNet.

    `levels` are group numbers of each class, coarsest first, `rows` the unit embeddings. With a
    taxonomy every class must have a WordNet id.
    """
    words, table = (
        _vocabulary(classes, taxonomy)
        if taxonomy
        else ([], np.zeros((0, len(classes)), dtype=bool))
    )
    above: Ints = np.zeros(len(classes), dtype=np.int64)
    taken: set[str] = set()
    named: list[list[tuple[str, float]]] = []
    for number, labels in enumerate(levels):
        wanted = []
        for group in range(labels.max() + 1):
            inside = labels == group
            scope = above == above[np.flatnonzero(inside)[0]]
            matches = _matches(inside, scope, words, table, int(number > 0)) + _central(
                inside, rows, classes
            )
            wanted += [(-match.score, group, match.name) for match in matches]
        level: dict[int, tuple[str, float]] = {}
        for score, group, name in sorted(wanted):
            # "hound" and "hound or the like" would not tell apart
            key = name.casefold().removesuffix(LIKE)
            if group not in level and key not in taken:
                level[group] = name, max(-score, 0.0)
                taken.add(key)
        if len(level) <= labels.max():
            raise HierarchyError("the classes have too few different names to name their groups")
        named.append([level[group] for group in range(labels.max() + 1)])
        above = labels
    return named


def _vocabulary(classes: Sequence[Leaf], taxonomy: Taxonomy) -> tuple[list[str], Flags]:
    """Words, and for each the classes that it holds: (words, classes) bool. Synsets of the same
    word are joined."""
    own = {leaf.wnid: _bare(leaf.name) for leaf in classes}
    above = [taxonomy.above(leaf.wnid) if leaf.wnid else {} for leaf in classes]
    held: dict[str, Flags] = {}
    for word, ids in (*WORDS, *FAMILIES):  # first: of two words that match alike it is the plainer
        held[word] = held.get(word, False) | np.array([holds(ids, each) for each in above])
    for index, leaf in enumerate(classes):
        if leaf.wnid is None:
            raise HierarchyError(f"{leaf.name!r} has no WordNet id")
        lemmas = [(wnid, taxonomy.synsets[wnid].lemmas) for wnid in above[index]]
        odd = {ODD[lemma] for _, words in lemmas for lemma in words if lemma in ODD}
        for wnid, words in lemmas:
            said = own.get(wnid) or everyday(words)
            if said and said not in odd:
                held.setdefault(said, np.zeros(len(classes), dtype=bool))[index] = True
    return list(held), np.array(list(held.values()))


def _matches(
    inside: Flags, scope: Flags, words: list[str], table: Flags, lower: int
) -> list[Match]:
    """Single words and, where they do clearly better, two or three; those that match at all.

    `scope` holds the parent's classes; `lower` is 0 at the first level, 1 below.
    """
    if not words:
        return []
    size = int(inside.sum())
    hits = (table & inside).sum(axis=1)
    held = (table & scope).sum(axis=1)
    telling = hits >= min(2, size)  # a word for one class is that class's
    if lower:
        telling &= held <= TELLING * scope.sum()
    single = np.where(telling, _measure(hits, held, size), 0.0)
    order = [int(i) for i in np.lexsort((np.arange(len(words)), -single)) if single[i] > 0][:PAIRED]

    least = max(PART_SHARE[lower] * size, 2)
    parts = [i for i in order if hits[i] >= least]
    apart = {pair for pair in combinations(parts, 2) if not (table[pair[0]] & table[pair[1]]).any()}
    best: dict[tuple[int, ...], float] = {(i,): float(single[i]) for i in order}
    for count in range(2, PARTS[lower] + 1):
        for chosen in combinations(parts, count):
            if apart.issuperset(combinations(chosen, 2)):
                some = list(chosen)
                score = float(_measure(hits[some].sum(), held[some].sum(), size)) - PART_GAIN * (
                    count - 1
                )
                if all(score > best.get(fewer, -1.0) for fewer in combinations(chosen, count - 1)):
                    best[chosen] = score
    found = []
    for chosen, score in best.items():
        share = float(hits[list(chosen)].sum()) / size
        if score >= ENOUGH and share >= REACH:
            spoken = [words[i] for i in sorted(chosen, key=lambda i: (-hits[i], i))]
            found.append(Match(score, _spoken(spoken, share)))
    return found


def _measure(hits: Ints, held: Ints, size: int) -> Floats:
    return (1 + RECALL) * hits / (RECALL * size + held)


def _spoken(words: Sequence[str], share: float) -> str:
    """["a", "b", "c"] is "a, b or c"; "a, b, c or the like" where they hold for too small a share
    of the members."""
    words = [part for word in words for part in re.split(", | or ", word)]
    if share < MOST:
        return ", ".join(words) + LIKE
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _central(inside: Flags, rows: Floats, classes: Sequence[Leaf]) -> list[Match]:
    """Names from the classes nearest to the middle of the group, with scores below 0 that order
    them."""
    members = np.flatnonzero(inside)
    near = rows[members] @ rows[members].mean(axis=0)
    order = list(
        dict.fromkeys(_bare(classes[members[i]].name) for i in np.lexsort((members, -near)))
    )
    singles = [_spoken([name], 1 / len(order)) for name in order]
    pairs = [_spoken(pair, 2 / len(order)) for pair in combinations(order[:PAIRED], 2)]
    whole = [_spoken(order, 1.0)] if len(order) <= FEW else []
    found = [*whole, *singles, *pairs, *(f"{name} group" for name in order)]
    return [Match(-1 - place, name) for place, name in enumerate(found)]


def _bare(name: str) -> str:
    """Without brackets and alternatives: "kite (bird of prey)" is "kite", "swim trunks / shorts" is
    "swim trunks"."""
    return re.split(r"\(| / | or ", name)[0].strip() or name
