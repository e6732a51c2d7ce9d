"""True classes of files: from a CSV, or from the names of their folders."""

import csv
import functools
import io
import os
from collections.abc import Callable
from pathlib import Path

from progcodec.errors import HierarchyError
from progcodec.files import text_of
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.names import near_names

FOLDERS = "folders"
Labels = Callable[[str], int | None]
"""The class index of a file; None if it has no label."""
Tell = Callable[[str], None]
"""What a line about a name that is no class goes to."""


def class_index(hierarchy: Hierarchy, text: str, places: bool = True) -> int:
    """A class by WordNet id, name (in any case) or, if `places`, index, in this order.

    Raises HierarchyError on none, with the names that are near, or on several.
    """
    wanted, classes = " ".join(text.casefold().split()), hierarchy.classes
    found = [index for index, leaf in enumerate(classes) if leaf.wnid == wanted]
    found = found or [i for i, leaf in enumerate(classes) if leaf.name.casefold() == wanted]
    if places and not found and wanted.isdecimal() and int(wanted) < len(classes):
        found = [int(wanted)]
    if not found:
        near = near_names(text, (leaf.name for leaf in classes))
        raise HierarchyError(f"no class is called {text!r}{near}")
    if len(found) > 1:
        several = f"{len(found)} classes are called {text!r}"
        raise HierarchyError(f"{several}; give a WordNet id or an index")
    return found[0]


def load_labels(source: str, hierarchy: Hierarchy, tell: Tell | None = None) -> Labels:
    """``"folders"``: the parent folder's name is a class's WordNet id or name. Anything else: a CSV
    file of file,label lines.

    In a CSV a file stands by its path, from the working folder or from the CSV's own, or by its
    name alone where only one line has that name. A first line ``file,label`` is a heading.

    A name that no class, or more than one, has is no label. `tell` is given one line about it, once
    for each folder. Without `tell` a CSV with such a name is refused.

    Raises:
        HierarchyError: a CSV that is none, or that holds no line. OSError: it cannot be read.
    """
    if source == FOLDERS:
        return _from_folders(hierarchy, tell)
    return _from_csv(source, hierarchy, tell)


def folder_of(name: str) -> str:
    return os.path.basename(os.path.dirname(os.path.abspath(name)))


def _from_folders(hierarchy: Hierarchy, tell: Tell | None) -> Labels:
    @functools.cache
    def index(folder: str) -> int | None:
        try:
            return class_index(hierarchy, folder, places=False)
        except HierarchyError as error:
            if tell is not None:
                tell(f"folder {folder}: {error}")
            return None

    return lambda name: index(folder_of(name))


def _from_csv(source: str, hierarchy: Hierarchy, tell: Tell | None) -> Labels:
    by_path: dict[str, int] = {}
    by_name: dict[str, set[int]] = {}
    told = False
    try:
        text = text_of(Path(source).read_bytes())
        for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
            heading = [cell.strip().casefold() for cell in row[:2]] == ["file", "label"]
            if not row or (number == 1 and heading):
                continue
            if len(row) < 2:
                raise HierarchyError(f"{source}, line {number}: not a file and its label")
            try:
                index = class_index(hierarchy, row[1])
            except HierarchyError as error:
                line = f"{source}, line {number}: {error}"
                if tell is None:
                    raise HierarchyError(line) from None
                tell(line)
                told = True
                continue
            for folder in (os.path.dirname(os.path.abspath(source)), os.getcwd()):
                by_path[os.path.realpath(os.path.join(folder, row[0]))] = index
            by_name.setdefault(Path(row[0]).name, set()).add(index)
    except (UnicodeDecodeError, csv.Error) as error:
        raise HierarchyError(f"{source} is no CSV of files and labels ({error})") from None
    if not by_path and not told:
        raise HierarchyError(f"{source} holds no labels")

    def label(name: str) -> int | None:
        named = by_name.get(Path(name).name, set())
        return by_path.get(os.path.realpath(name), next(iter(named)) if len(named) == 1 else None)

    return label
