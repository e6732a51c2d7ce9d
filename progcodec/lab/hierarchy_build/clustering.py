"""Nested groups by k-means from the top down.

    all classes ──k-means──► sizes[0] groups ──k-means in each──► sizes[1] groups in all ──► …

Independent runs of k-means with K=10 and K=100 put a part of the classes across the lines;
splitting each group cannot. Where WordNet knows the classes, the first level splits each realm by
itself and keeps kinds together (kinds.py).

Two things make the groups follow meaning, and come out the same from seed to seed:

- Text embeddings share most of their direction ("a photo of a …": their mean is 0.79 long, of 1),
  so each split looks at what is left without it: rows minus their group's mean, on its leading
  principal directions, with length 1 again.
- Lloyd's k-means stops in any of thousands of nearly equal minima. The tightest results are
  polished by single moves (Hartigan 1975): a class changes groups as long as this lowers the sum of
  squares, which merges nearly all of them.
"""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.errors import HierarchyError
from progcodec.lab.extras import extra
from progcodec.lab.hierarchy_build.kinds import Facts

RESTARTS = 400
"""Most starts of each k-means; more make the result depend less on the seed."""
EACH = 4
"""Starts for each row: few rows have few minima to find."""
KNOWN = 0.1
"""The share of WordNet in squared distances, beside the embeddings."""
POLISHED = 0.25
"""The share of the starts, the tightest ones, that single moves polish."""
DIRECTIONS = 3
"""Principal directions that a split looks at, for each group wanted: K - 1 could tell K groups
apart (Ding & He 2004)."""


def unit_rows(embeddings: Floats) -> Floats:
    """(n, d) rows of length 1 in float64. Raises HierarchyError for anything that is not n finite
    non-zero rows."""
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.size:
        raise HierarchyError(
            f"embeddings must be a table of numbers, not {rows.dtype} of shape {rows.shape}"
        )
    rows = rows.astype(np.float64)
    lengths: Floats = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise HierarchyError("embeddings must be finite and not all zero in any row")
    return rows / lengths


def check_sizes(sizes: Sequence[int], classes: int) -> None:
    rising = all(low < high for low, high in pairwise([0, *sizes]))
    if not sizes or not rising or sizes[-1] > classes:
        listed = ",".join(map(str, sizes))
        raise HierarchyError(
            f"sizes must grow from 1 up to at most the {classes} classes, not {listed or 'none'}"
        )


def nested(
    rows: Floats,
    sizes: Sequence[int],
    seed: int,
    restarts: int = RESTARTS,
    facts: Facts | None = None,
) -> list[Ints]:
    """Group numbers of each row, one array a level. Groups are numbered by the parent's number,
    then by the first row.

    With `facts`, realms and kinds bind the first level, and what WordNet says counts beside the
    embeddings in all.

    One seed gives one result, always: all runs in a single thread, as sums in several threads may
    differ in their last bits from run to run and so tip a row over a border.
    """
    check_sizes(sizes, len(rows))
    levels: list[Ints] = []
    groups: list[Ints] = [np.arange(len(rows))]
    if facts is not None:
        fitting = (realm for realm in facts.realms if realm.max() < sizes[0])
        if (realms := next(fitting, None)) is not None:
            groups = [np.flatnonzero(realms == realm) for realm in range(realms.max() + 1)]
    with extra("hierarchy", "building a hierarchy"):
        from threadpoolctl import threadpool_limits
    with threadpool_limits(limits=1):
        for number, size in enumerate(sizes):
            kinds = facts.kinds[min(number, 1)] if facts is not None else None
            parts = shares([len(group) for group in groups], size)
            groups = [
                part
                for group, k in zip(groups, parts)
                for part in _split(rows, group, k, seed, restarts, facts, kinds)
            ]
            labels = np.empty(len(rows), dtype=np.int64)
            for place, group in enumerate(groups):
                labels[group] = place
            levels.append(labels)
    return levels


def shares(counts: Sequence[int], total: int) -> list[int]:
    """`total` divided in proportion to `counts` by largest remainder; each share at least 1 and at
    most its count."""
    exact = [total * count / sum(counts) for count in counts]
    parts = [min(max(int(value), 1), count) for value, count in zip(exact, counts)]
    while sum(parts) != total:
        step = 1 if sum(parts) < total else -1
        open_ = [
            i for i, count in enumerate(counts) if (parts[i] < count if step > 0 else parts[i] > 1)
        ]
        chosen = max(open_, key=lambda i: (step * (exact[i] - parts[i]), -i))
        parts[chosen] += step
    return parts


def _split(
    rows: Floats,
    group: Ints,
    k: int,
    seed: int,
    restarts: int,
    facts: Facts | None,
    kinds: Ints | None,
) -> list[Ints]:
    """`k` parts of a group; rows of equal `kinds` are in one part, if there are kinds enough."""
    if k == 1:
        return [group]
    labels = np.arange(k)
    if k < len(group):
        points = spread(rows[group], DIRECTIONS * k)
        if facts is not None:
            known = spread(facts.rows[group], DIRECTIONS * k)
            points = np.hstack([math.sqrt(1 - KNOWN) * points, math.sqrt(KNOWN) * known])
        bound = np.arange(len(group))
        if kinds is not None and len(np.unique(kinds[group])) >= k:
            bound = np.unique(kinds[group], return_inverse=True)[1]
        # Rows that stay together count as one in their middle: the sum of squares differs by a
        # constant.
        weights = np.bincount(bound).astype(np.float64)
        middles = np.zeros((len(weights), points.shape[1]))
        np.add.at(middles, bound, points)
        labels = kmeans(middles / weights[:, None], weights, k, seed, restarts)[bound]
    parts = [group[labels == label] for label in range(k)]
    parts = sorted((part for part in parts if len(part)), key=lambda part: part[0])
    # equal rows (two classes of one name) leave groups empty: the largest gives one away
    while len(parts) < k:
        largest = max(parts, key=len)
        parts = [part for part in parts if part is not largest] + [largest[:-1], largest[-1:]]
        parts.sort(key=lambda part: part[0])
    return parts


def spread(rows: Floats, directions: int) -> Floats:
    """(n, d) rows as (n, at most `directions`) unit rows: their differences from the mean, all
    counted alike, on the leading principal directions. A row that is the mean itself stays zero."""
    apart = _unit(rows - rows.mean(axis=0))
    apart -= apart.mean(axis=0)
    left, values, _ = np.linalg.svd(apart, full_matrices=False)
    return _unit(left[:, :directions] * values[:directions])


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # rounding leaves 1e-16 of equal rows
    return np.where(lengths > 1e-9, rows / np.maximum(lengths, 1e-9), 0.0)


def kmeans(rows: Floats, weights: Floats, k: int, seed: int, restarts: int) -> Ints:
    """Labels of the tightest of many k-means of weighted rows (Lloyd, k-means++ starts, single
    moves)."""
    with extra("hierarchy", "building a hierarchy"):
        from sklearn.cluster import KMeans

    starts = np.random.default_rng(seed).integers(2**31, size=min(restarts, EACH * len(rows)))
    with warnings.catch_warnings():
        # "fewer distinct clusters than asked for": dealt with above
        warnings.simplefilter("ignore")
        clusters = (KMeans(k, n_init=1, random_state=int(s), algorithm="lloyd") for s in starts)
        runs = [cluster.fit(rows, sample_weight=weights) for cluster in clusters]
    runs.sort(key=lambda run: run.inertia_)  # stable: of equals the earlier start
    best = runs[: math.ceil(POLISHED * len(runs))]
    polished = [polish(rows, weights, run.labels_, k) for run in best]
    return min(polished, key=lambda result: result[1])[0]


def polish(rows: Floats, weights: Floats, labels: Ints, k: int) -> tuple[Ints, float]:
    """Labels and sum of squares after the best single move, again and again, until none lowers the
    sum (Hartigan).

    Taking a row of weight w from its group of weight n lowers the sum by distance² · wn/(n-w);
    giving it to another raises it by distance² · wn/(n+w). Lloyd's step ignores both factors, and
    so stops earlier. No group loses its last row.
    """
    labels = labels.astype(np.int64)
    each = np.arange(len(rows))
    members = np.bincount(labels, minlength=k)
    held = np.bincount(labels, weights, minlength=k)
    centres = np.zeros((k, rows.shape[1]))
    np.add.at(centres, labels, rows * weights[:, None])
    centres /= np.maximum(held, 1)[:, None]
    squares = ((rows[:, None] - centres) ** 2).sum(axis=2) * weights[:, None]
    while True:
        own = squares[each, labels]
        rest = np.where(members[labels] > 1, held[labels] - weights, 1)
        saved = np.where(members[labels] > 1, own * held[labels] / rest, -np.inf)
        cost = squares * (held / (held + weights[:, None]))
        cost[each, labels] = np.inf
        to = cost.argmin(axis=1)
        gain = saved - cost[each, to]
        row = int(gain.argmax())
        if not gain[row] > 1e-9:
            return labels, float(own.sum())
        for group, step in ((labels[row], -1), (to[row], 1)):
            members[group] += step
            held[group] += step * weights[row]
            centres[group] += step * weights[row] * (rows[row] - centres[group]) / held[group]
            squares[:, group] = ((rows - centres[group]) ** 2).sum(axis=1) * weights
        labels[row] = to[row]
