"""The dictionary files of an installed WordNet 3.0."""

from collections.abc import Iterable
from pathlib import Path

from progcodec.errors import HierarchyError
from progcodec.hierarchy.wordnet import Synset, Taxonomy

NOTICE = "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved."


def read_dictionary(folder: str | Path, wnids: Iterable[str]) -> Taxonomy:
    """The `wnids` and all their ancestors, out of ``data.noun`` in a folder of WordNet's dictionary
    files.
    """
    lines: dict[str, Synset] = {}
    with open(Path(folder) / "data.noun", encoding="utf-8") as file:
        for line in file:
            if not line.startswith("  "):  # the licence at its head is indented
                lines["n" + line[:8]] = _parse(line)
    found: dict[str, Synset] = {}
    todo = list(wnids)
    while todo:
        wnid = todo.pop()
        if wnid not in lines:
            raise HierarchyError(f"{wnid} is no noun of the WordNet in {folder}")
        if wnid not in found:
            found[wnid] = lines[wnid]
            todo += lines[wnid].hypernyms
    return Taxonomy(dict(sorted(found.items())))


def _parse(line: str) -> Synset:
    # offset file-number type word-count(hex) [word lexical-id]... pointer-count [symbol offset type
    # source/target]...
    fields = line.partition("|")[0].split()
    words = int(fields[3], 16)
    lemmas = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * words : 2])
    pointers = fields[5 + 2 * words :]
    hypernyms = tuple(
        f"n{pointers[i + 1]}" for i in range(0, len(pointers) - 3, 4) if pointers[i] in ("@", "@i")
    )
    return Synset(lemmas, hypernyms)
