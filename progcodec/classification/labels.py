"""True classes of files: from a CSV, or from the names of their folders."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

from progcodec.errors import HierarchyError
from progcodec.hierarchy.hierarchy import Hierarchy

FOLDERS = "folders"
Labels = Callable[[str], int | None]
"""The class index of a file; None if it has no label."""


def class_index(hierarchy: Hierarchy, text: str) -> int:
    """A class by WordNet id, name (in any case) or index, in this order. Raises HierarchyError on none or on several."""
    wanted = " ".join(text.casefold().split())
    found = [index for index, leaf in enumerate(hierarchy.classes) if leaf.wnid == wanted]
    found = found or [
        index for index, leaf in enumerate(hierarchy.classes) if leaf.name.casefold() == wanted
    ]
    if not found and wanted.isascii() and wanted.isdigit() and int(wanted) < len(hierarchy.classes):
        found = [int(wanted)]
    if not found:
        raise HierarchyError(f"no class is called {text!r}")
    if len(found) > 1:
        raise HierarchyError(
            f"{len(found)} classes are called {text!r}; give a WordNet id or an index"
        )
    return found[0]


def load_labels(source: str, hierarchy: Hierarchy) -> Labels:
    """``"folders"``: the parent folder's name is a WordNet id. Anything else: a CSV file of file,label lines.

    In a CSV a file stands by its path, from the working folder or from the CSV's own, or by its name alone where only
    one line has that name. A first line ``file,label`` is a heading.

    Raises:
        HierarchyError: a label that no class, or more than one, has; a CSV that is none. OSError: it cannot be read.
    """
    return _from_folders(hierarchy) if source == FOLDERS else _from_csv(source, hierarchy)


def _from_folders(hierarchy: Hierarchy) -> Labels:
    index = {leaf.wnid: place for place, leaf in enumerate(hierarchy.classes) if leaf.wnid}
    return lambda name: index.get(os.path.basename(os.path.dirname(os.path.abspath(name))))


def _from_csv(source: str, hierarchy: Hierarchy) -> Labels:
    by_path: dict[str, int] = {}
    by_name: dict[str, set[int]] = {}
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or (
                    number == 1
                    and [cell.strip().casefold() for cell in row[:2]] == ["file", "label"]
                ):
                    continue
                if len(row) < 2:
                    raise HierarchyError(f"{source}, line {number}: not a file and its label")
                try:
                    index = class_index(hierarchy, row[1])
                except HierarchyError as error:
                    raise HierarchyError(f"{source}, line {number}: {error}") from None
                for folder in (os.path.dirname(os.path.abspath(source)), os.getcwd()):
                    by_path[os.path.realpath(os.path.join(folder, row[0]))] = index
                by_name.setdefault(Path(row[0]).name, set()).add(index)
    except (UnicodeDecodeError, csv.Error) as error:
        raise HierarchyError(f"{source} is no CSV of files and labels ({error})") from None
    if not by_path:
        raise HierarchyError(f"{source} holds no labels")

    def label(name: str) -> int | None:
        named = by_name.get(Path(name).name, set())
        return by_path.get(os.path.realpath(name), next(iter(named)) if len(named) == 1 else None)

    return label
