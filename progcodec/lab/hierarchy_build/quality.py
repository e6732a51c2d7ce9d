"""How good a partition of classes is: balance, agreement with WordNet, stability."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.hierarchy.wordnet import Taxonomy
from progcodec.lab.hierarchy_build.clustering import nested
from progcodec.lab.hierarchy_build.kinds import Facts

PAPER = {
    "source": "arXiv 2605.08266, Table 1, K=10",
    "clip": {"intra": 0.583, "inter": 0.426},
    "wordnet_depth_cut": {"intra": 0.472, "inter": 0.270},
}
STABILITY_SEEDS = 5


def balance(labels: Ints) -> dict[str, Any]:
    """Group count, sizes, the largest group's share, and the entropy of the shares in bits beside
    its maximum."""
    sizes = np.bincount(labels)
    shares = sizes[sizes > 0] / len(labels)
    return {
        "groups": len(shares),
        "smallest": int(sizes.min()),
        "largest": int(sizes.max()),
        "largest_share": round(float(shares.max()), 4),
        "entropy_bits": round(float(-(shares * np.log2(shares)).sum()) + 0.0, 4),
        "entropy_max_bits": round(float(np.log2(len(shares))), 4),
    }


def agreement(labels: Ints, similarity: Floats) -> dict[str, float | None]:
    """Mean Wu-Palmer similarity over all pairs of two classes in one group (intra), and in two
    groups (inter)."""
    same = labels[:, None] == labels[None]
    pairs = ~np.eye(len(labels), dtype=bool)
    values = {"intra": similarity[same & pairs], "inter": similarity[~same]}
    return {
        name: round(float(part.mean()), 4) if part.size else None for name, part in values.items()
    }


def tightness(rows: Floats, labels: Ints) -> dict[str, float]:
    """Mean cosine of a unit row and the middle of its group: as it is, and without what all rows
    share."""
    found = {}
    for name, points in (("plain", rows), ("centred", rows - rows.mean(axis=0))):
        groups = range(labels.max() + 1)
        middles = np.array([points[labels == group].mean(axis=0) for group in groups])[labels]
        lengths = np.linalg.norm(points, axis=1) * np.linalg.norm(middles, axis=1)
        cosines = (points * middles).sum(axis=1) / np.where(lengths > 0, lengths, 1)
        found[name] = round(float(cosines.mean()), 4)
    return found


def depth_cut(taxonomy: Taxonomy, wnids: Sequence[str], size: int) -> tuple[int, Ints]:
    """The depth at which cutting WordNet gives about `size` groups, and each class's group.

    A class belongs to its ancestor at that depth on its shortest way from the root (which has depth
    1), or stands alone where that way is shorter.
    """
    ways = [taxonomy.path(wnid) for wnid in wnids]
    cuts = []
    for depth in range(1, max(map(len, ways)) + 1):
        _, labels = np.unique([way[min(depth, len(way)) - 1] for way in ways], return_inverse=True)
        cuts.append((depth, labels))
    return min(cuts, key=lambda cut: (abs(np.log((cut[1].max() + 1) / size)), cut[0]))


def stability(
    rows: Floats,
    levels: Sequence[Ints],
    sizes: Sequence[int],
    seed: int,
    restarts: int,
    facts: Facts | None = None,
) -> list[dict[str, float]]:
    """For each level the adjusted Rand index between the partitions from five seeds: mean and least
    of all pairs.

    `levels` is the partition from `seed` itself.
    """
    from sklearn.metrics import adjusted_rand_score

    others = range(seed + 1, seed + STABILITY_SEEDS)
    runs = [levels, *(nested(rows, sizes, other, restarts, facts) for other in others)]
    found: list[dict[str, float]] = []
    for level in range(len(sizes)):
        values = [adjusted_rand_score(one[level], two[level]) for one, two in combinations(runs, 2)]
        mean, least = (round(float(value), 4) for value in (np.mean(values), np.min(values)))
        found.append({"mean": mean, "least": least})
    return found
