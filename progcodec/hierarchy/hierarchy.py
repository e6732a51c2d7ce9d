"""The class hierarchy: a few named groups of classes, each split into named groups, down to the
classes.

                      bird                           level 0, "coarse"
              ┌────────┴────────┐
         bird of prey       songbird                 level 1, "intermediate"
         ┌────┴────┐        ┌───┴────┐
      vulture    kite     jay    bulbul              the classes, "fine"

Levels nest: a class has one group at each level, and a group one parent. So the probability of a
group is the sum over its classes, and it is at most its parent's. Standard library and numpy only.
"""

import json
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from progcodec import assets
from progcodec.arrays import Floats, Ints
from progcodec.errors import HierarchyError
from progcodec.hierarchy.wordnet import Taxonomy, read_json
from progcodec.names import near_names, shows

SHIPPED = assets.FOLDER / "hierarchy" / "imagenet1k.json"
FORMAT = "progcodec class hierarchy"
VERSION = 1
MAX_LEVELS = 64
"""Levels of groups. A table of every class at every level is built, so a file of many of both would
ask for their product."""


class Cluster(NamedTuple):
    """A group of classes. `parent` counts in the level above; it is None at the first level."""

    name: str
    parent: int | None


class Leaf(NamedTuple):
    """A class; `wnid` is its WordNet id, if any, `parent` counts in the last level of groups."""

    name: str
    wnid: str | None
    parent: int


class Node(NamedTuple):
    """A place in the tree: level 0 is the coarsest, ``len(hierarchy.levels)`` the classes."""

    level: int
    index: int  # type: ignore[assignment]  # hides tuple.index


@dataclass(frozen=True)
class Hierarchy:
    """Groups by level, coarsest first, then the classes, in the order of a classifier's outputs."""

    levels: tuple[tuple[Cluster, ...], ...]
    classes: tuple[Leaf, ...]
    about: dict[str, Any] = field(default_factory=dict, compare=False)
    """Where it comes from and how good it is, as the file holds it."""

    def __post_init__(self) -> None:
        _validate(self)

    def __repr__(self) -> str:
        """``Hierarchy(10 + 100 groups, 1,000 classes)``, not all of them."""
        return (
            f"Hierarchy({' + '.join(f'{size:,}' for size in self.sizes)} groups, "
            f"{len(self.classes):,} classes)"
        )

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Hierarchy":
        """From a JSON file, or the shipped one. Raises HierarchyError, OSError."""
        path = SHIPPED if path is None else Path(path)
        content = read_json(path)
        if content.get("format") != FORMAT:
            raise HierarchyError(f"{path} is no class hierarchy")
        if content.get("version") != VERSION:
            version = reprlib.repr(content.get("version"))
            raise HierarchyError(f"{path} is of version {version}; this reader knows {VERSION}")
        try:
            levels = tuple(
                tuple(Cluster(row["name"], row["parent"]) for row in level)
                for level in content["levels"]
            )
            classes = tuple(
                Leaf(row["name"], row["wnid"], row["parent"]) for row in content["classes"]
            )
        except (KeyError, TypeError) as error:
            raise HierarchyError(f"{path} misses {error} in a level or class") from error
        own = ("format", "version", "levels", "classes")
        about = {name: value for name, value in content.items() if name not in own}
        try:
            return cls(levels, classes, about)
        except HierarchyError as error:
            raise HierarchyError(f"{path}: {error}") from error

    def to_json(self) -> str:
        """The file's text: one line for a group or a class, so that versions can be compared."""
        parts = {"format": json.dumps(FORMAT), "version": json.dumps(VERSION)}
        parts |= {
            name: json.dumps(value, ensure_ascii=False, indent=1)
            for name, value in self.about.items()
        }
        parts["levels"] = "[" + ", ".join(_rows(level) for level in self.levels) + "]"
        parts["classes"] = _rows(self.classes)
        return (
            "{\n"
            + ",\n".join(f"{json.dumps(name)}: {text}" for name, text in parts.items())
            + "\n}\n"
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Groups at each level."""
        return tuple(len(level) for level in self.levels)

    @property
    def level_names(self) -> tuple[str, ...]:
        """``("coarse", "intermediate", "fine")``, or "level 1"… and "classes"."""
        if len(self.levels) == 2:
            return "coarse", "intermediate", "fine"
        return *(f"level {number}" for number in range(1, len(self.levels) + 1)), "classes"

    @cached_property
    def assignments(self) -> Ints:
        """(levels, classes) int64: the group of each class at each level."""
        table = np.empty((len(self.levels), len(self.classes)), dtype=np.int64)
        up: Ints = np.arange(len(self.classes))
        for level in reversed(range(len(self.levels))):
            up = table[level] = self.parents(level + 1)[up]
        return table

    def parents(self, level: int) -> Ints:
        """The parent of every group or class of a level below the first."""
        return np.array([entry.parent for entry in self._level(level)])

    def aggregate(self, probabilities: Floats, level: int | str) -> Floats:
        """(..., classes) probabilities to (..., groups), sums over their classes, in float64."""
        values = np.asarray(probabilities, dtype=np.float64)
        if values.ndim == 0 or values.shape[-1] != len(self.classes):
            raise HierarchyError(
                f"{values.shape} probabilities do not end in the {len(self.classes)} classes"
            )
        number = self.level(level)
        if number == len(self.levels):
            return values
        rows = values.reshape(-1, len(self.classes))
        sums = np.zeros((len(rows), self.sizes[number]))
        columns: Any = (slice(None), self.assignments[number])
        np.add.at(sums, columns, rows)
        return sums.reshape(*values.shape[:-1], self.sizes[number])

    def level(self, level: int | str) -> int:
        """A level's number; names are those of :attr:`level_names`."""
        if isinstance(level, str) and level in self.level_names:
            return self.level_names.index(level)
        if isinstance(level, int) and 0 <= level <= len(self.levels):
            return level
        raise HierarchyError(
            f"there is no level {level!r}; there are {', '.join(self.level_names)}"
        )

    def ancestors(self, class_index: int) -> tuple[int, ...]:
        """The groups of a class, coarsest first."""
        self._check(Node(len(self.levels), class_index))
        return tuple(int(group) for group in self.assignments[:, class_index])

    def path(self, node: int | Node) -> tuple[str, ...]:
        """The names from the first level down to a class (given by its index alone) or a group."""
        level, index = node = Node(len(self.levels), node) if isinstance(node, int) else node
        self._check(node)
        names = []
        parent: int | None = index
        for number in range(level, -1, -1):
            assert parent is not None, "only the first level has nothing above it"
            entry = self._level(number)[parent]
            names.append(entry.name)
            parent = entry.parent
        return tuple(reversed(names))

    def children(self, node: Node) -> list[Node]:
        """The groups or classes directly below a group; none below a class."""
        self._check(node)
        if node.level == len(self.levels):
            return []
        below = self._level(node.level + 1)
        return [
            Node(node.level + 1, place)
            for place, entry in enumerate(below)
            if entry.parent == node.index
        ]

    def members(self, node: Node) -> list[int]:
        """The classes of a group, or the class itself."""
        self._check(node)
        if node.level == len(self.levels):
            return [node.index]
        return [int(index) for index in np.flatnonzero(self.assignments[node.level] == node.index)]

    def name(self, node: Node) -> str:
        self._check(node)
        return self._level(node.level)[node.index].name

    def find(self, text: str) -> list[Node]:
        """All groups and classes of this name or WordNet id. Raises HierarchyError if none has."""
        wanted = " ".join(text.casefold().split())
        found = [
            Node(level, index)
            for level in range(len(self.levels) + 1)
            for index, entry in enumerate(self._level(level))
            if wanted in (entry.name.casefold(), getattr(entry, "wnid", None))
        ]
        if not found:
            levels = (self._level(level) for level in range(len(self.levels) + 1))
            names = [entry.name for level in levels for entry in level]
            raise HierarchyError(f"no class or group is called {text!r}{near_names(text, names)}")
        return found

    def wu_palmer(self, taxonomy: Taxonomy | None = None) -> Floats:
        """(classes, classes) Wu-Palmer similarities, from the shipped WordNet facts if None."""
        wnids = [leaf.wnid for leaf in self.classes]
        if None in wnids:
            raise HierarchyError("Wu-Palmer similarity needs a WordNet id for every class")
        return (taxonomy or Taxonomy.load()).wu_palmer([wnid for wnid in wnids if wnid is not None])

    def _level(self, number: int) -> Sequence[Cluster | Leaf]:
        return self.classes if number == len(self.levels) else self.levels[number]

    def _check(self, node: Node) -> None:
        if not (
            0 <= node.level <= len(self.levels) and 0 <= node.index < len(self._level(node.level))
        ):
            raise HierarchyError(f"there is no {node}")


def _rows(entries: Sequence[Cluster | Leaf]) -> str:
    return (
        "[\n"
        + ",\n".join(json.dumps(entry._asdict(), ensure_ascii=False) for entry in entries)
        + "\n]"
    )


def _validate(hierarchy: Hierarchy) -> None:
    """What every other method relies on. Raises HierarchyError."""
    if not hierarchy.levels or not hierarchy.classes:
        raise HierarchyError("a hierarchy needs groups and classes")
    if len(hierarchy.levels) > MAX_LEVELS:
        raise HierarchyError(f"{len(hierarchy.levels)} levels of groups are more than {MAX_LEVELS}")
    names: set[str] = set()
    above = 0
    for number, level in enumerate(hierarchy.levels):
        for cluster in level:
            _check_name(cluster.name)
            if cluster.name.casefold() in names:
                raise HierarchyError(f"two groups are called {reprlib.repr(cluster.name)}")
            names.add(cluster.name.casefold())
        if number == 0 and any(cluster.parent is not None for cluster in level):
            raise HierarchyError("a group of the first level has a parent")
        if number:
            _check_parents([cluster.parent for cluster in level], above, f"level {number + 1}")
        above = len(level)
    for leaf in hierarchy.classes:
        _check_name(leaf.name)
        if leaf.wnid is not None:
            _check_name(leaf.wnid)
    _check_parents([leaf.parent for leaf in hierarchy.classes], above, "the classes")


def _check_name(name: object) -> None:
    # Nothing that a terminal obeys, nor half of a surrogate pair, which JSON can spell.
    if not isinstance(name, str) or not name.strip() or not all(map(shows, name)):
        raise HierarchyError(f"{reprlib.repr(name)} is no name")


def _check_parents(parents: Sequence[object], above: int, where: str) -> None:
    for parent in parents:
        if isinstance(parent, bool) or not isinstance(parent, int) or not 0 <= parent < above:
            raise HierarchyError(f"{where}: {reprlib.repr(parent)} is no parent")
    if len(set(parents)) < above:
        raise HierarchyError(f"{where}: a group is empty")
