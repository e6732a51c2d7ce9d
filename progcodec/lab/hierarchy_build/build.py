"""From embeddings to a finished hierarchy: clusters, names, quality, provenance."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.hierarchy.hierarchy import Cluster, Hierarchy, Leaf
from progcodec.hierarchy.wordnet import Taxonomy
from progcodec.lab.hierarchy_build import quality
from progcodec.lab.hierarchy_build.clustering import RESTARTS, nested, unit_rows
from progcodec.lab.hierarchy_build.dictionary import NOTICE
from progcodec.lab.hierarchy_build.kinds import Facts, facts
from progcodec.lab.hierarchy_build.naming import names


def build(
    embeddings: Floats,
    classes: Sequence[Leaf],
    sizes: Sequence[int],
    seed: int,
    source: str,
    taxonomy: Taxonomy | None,
    restarts: int = RESTARTS,
) -> Hierarchy:
    """A hierarchy of the classes (whose `parent` is ignored); equal arguments give equal bytes.

    `taxonomy` holds the WordNet facts of the classes; with None, groups are named after their own
    classes, and nothing is said about Wu-Palmer similarity.
    """
    rows = unit_rows(embeddings)
    known = facts([leaf.wnid or "" for leaf in classes], taxonomy) if taxonomy else None
    levels = nested(rows, sizes, seed, restarts, known)
    named = names(levels, rows, classes, taxonomy)
    groups = []
    for number, labels in enumerate(levels):
        first = [int(np.flatnonzero(labels == group)[0]) for group in range(sizes[number])]
        parents = [int(levels[number - 1][index]) if number else None for index in first]
        pairs = zip(named[number], parents, strict=True)
        groups.append(tuple(Cluster(name, parent) for (name, _), parent in pairs))
    places = zip(classes, levels[-1], strict=True)
    leaves = tuple(Leaf(leaf.name, leaf.wnid, int(group)) for leaf, group in places)
    about: dict[str, Any] = {
        "provenance": {
            "embeddings": source,
            "method": "k-means with single moves, from the top down, on each group's centred rows "
            "in their leading directions; shares of the next level by largest remainder"
            + ("; realms apart and kinds together, as WordNet has them" if taxonomy else ""),
            "names": f"best-matching WordNet ancestors and words of our own; {NOTICE}"
            if taxonomy
            else "most central classes",
        },
        "seed": seed,
        "restarts": restarts,
        "sizes": list(sizes),
        "quality": _quality(rows, levels, named, classes, sizes, seed, restarts, taxonomy, known),
    }
    return Hierarchy(tuple(groups), leaves, about)


def _quality(
    rows: Floats,
    levels: Sequence[Ints],
    named: Sequence[Sequence[tuple[str, float]]],
    classes: Sequence[Leaf],
    sizes: Sequence[int],
    seed: int,
    restarts: int,
    taxonomy: Taxonomy | None,
    known: Facts | None,
) -> dict[str, Any]:
    wnids = [leaf.wnid for leaf in classes if leaf.wnid]
    similarity = taxonomy.wu_palmer(wnids) if taxonomy else None
    stable = quality.stability(rows, levels, sizes, seed, restarts, known)
    alone = nested(rows, sizes, seed, restarts) if known else levels
    result = []
    for size, labels, free, level_names, rand in zip(sizes, levels, alone, named, stable):
        row: dict[str, Any] = {"size": size, "clusters": quality.balance(labels), "stability": rand}
        row["cosine"] = quality.tightness(rows, labels)
        row["name_match_mean"] = round(float(np.mean([score for _, score in level_names])), 4)
        if taxonomy and similarity is not None:
            depth, cut = quality.depth_cut(taxonomy, wnids, size)
            row["clusters"] |= quality.agreement(labels, similarity)
            alone_row, cut_row = (
                {**quality.balance(each), **quality.agreement(each, similarity)}
                for each in (free, cut)
            )
            row["embeddings_alone"] = alone_row
            row["cosine_embeddings_alone"] = quality.tightness(rows, free)
            row["wordnet_depth_cut"] = {"depth": depth, **cut_row}
        result.append(row)
    return {"levels": result, "stability_seeds": quality.STABILITY_SEEDS, "paper": quality.PAPER}
