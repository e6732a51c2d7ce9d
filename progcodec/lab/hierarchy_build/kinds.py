"""What WordNet forbids and asks of the first level of groups.

Text embeddings know which words go together, not what a thing is: a Persian cat stands among dogs,
a piano among vehicles ("grand"), a toilet seat among dishes ("bowl"). So two rules of constrained
k-means (Wagstaff et al. 2001) hold there:

- realms stay apart: no group holds classes of two realms, such as dogs and cats, or food and lamps;
- kinds stay together: all musical instruments, say, are in one group, wherever the embeddings put
  it.

A class that no row below holds is free within its realm.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.hierarchy.wordnet import Taxonomy

VOCABULARY: dict[str, Any] = tomllib.loads(
    (files(__package__) / "vocabulary.toml").read_text("utf-8")
)
"""Words and lists of synsets, with what each is for."""


def table(text: str) -> tuple[tuple[str, str], ...]:
    """The rows of lines ``word: synset ids``; an indented line goes on with the one above it."""
    rows = text.replace("\n  ", " ").splitlines()
    parts = (row.partition(": ") for row in rows if row and not row.startswith("#"))
    return tuple((word, ids) for word, _, ids in parts)


def holds(ids: str, above: Mapping[str, int]) -> bool:
    """Whether one of the synsets stands above a class, and none of those after a "-"."""
    wanted, _, unwanted = ids.partition(" - ")
    keys = above.keys()
    return not keys.isdisjoint(wanted.split()) and keys.isdisjoint(unwanted.split())


THINGS = "things", "things"
REALMS: tuple[tuple[str, str, str], ...] = (
    ("animals", "dogs", "n02084071"),
    ("animals", "other mammals", "n01861778"),
    ("animals", "birds", "n01503061"),
    ("animals", "other animals", "n00015388"),
    # food: nutrient, solid food, drink; plant, fruit (the organ), fungus
    ("plants", "plants", "n00021265 n07555863 n07881800 n00017222 n13134947 n12992868"),
)
"""(wide realm, realm, synsets); a class belongs to the first that stands above it, or to the
things."""
KINDS = table(VOCABULARY["kinds"])
FAMILIES = table(VOCABULARY["families"])
MISREAD = {"n07565083": THINGS, "n07930864": THINGS}
"""Classes with the synset of another meaning of their word, and their true realm: menu (fare), tea
cup (punch)."""


class Facts(NamedTuple):
    """What the clustering may know about n classes beside their embeddings."""

    realms: tuple[Ints, ...]
    """(n,) realm numbers, the finest division first; a division into more realms than groups is
    passed over."""
    kinds: tuple[Ints, Ints]
    """(n,) numbers of what stays together in the first level, and below; a class of no kind has one
    of its own."""
    rows: Floats
    """(n, d) coordinates in which classes near in WordNet are near."""


def facts(wnids: Sequence[str], taxonomy: Taxonomy) -> Facts:
    """Raises HierarchyError for an id that the taxonomy does not know."""
    realms: list[tuple[str, str]] = []
    kinds: list[object] = []
    families: list[object] = []
    for wnid in wnids:
        above = taxonomy.above(wnid)
        wide, realm = next(
            ((wide, realm) for wide, realm, ids in REALMS if holds(ids, above)), THINGS
        )
        if wnid in MISREAD:
            wide, realm = MISREAD[wnid]
        realms.append((wide, realm))
        family = next((name for name, ids in FAMILIES if holds(ids, above)), wnid)
        families.append((realm, family))
        kind = next((name for name, ids in KINDS if holds(ids, above)), None)
        bound = kind is not None and realm == THINGS[1]
        kinds.append(kind if bound else (realm, family))
    wide_realms = [wide for wide, _ in realms]
    return Facts(
        (_numbers(realms), _numbers(wide_realms)),
        (_numbers(kinds), _numbers(families)),
        taxonomy.wu_palmer(wnids),
    )


def _numbers(values: Sequence[object]) -> Ints:
    """Equal values by equal numbers, counted in the order in which they appear."""
    order = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([order[value] for value in values])
