"""Nested groups by k-means from the top down.

    all classes ──k-means──► sizes[0] groups ──k-means in each──► sizes[1] groups in all ──► …

Independent runs of k-means with K=10 and K=100 put a part of the classes across the lines; splitting each group cannot.
"""

from collections.abc import Sequence

import numpy as np

from progcodec.errors import HierarchyError, ProgcodecError

RESTARTS = 20
"""Starts of each k-means, of which the tightest result is kept."""


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """(n, d) rows of length 1 in float64. Raises HierarchyError for anything that is not n finite non-zero rows."""
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.size:
        raise HierarchyError(f"embeddings must be a table of numbers, not {rows.dtype} of shape {rows.shape}")
    rows = rows.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise HierarchyError("embeddings must be finite and not all zero in any row")
    return rows / lengths


def check_sizes(sizes: Sequence[int], classes: int) -> None:
    if not sizes or sizes[0] < 1 or any(low >= high for low, high in zip(sizes, sizes[1:])) or sizes[-1] > classes:
        listed = ",".join(map(str, sizes))
        raise HierarchyError(f"sizes must grow from 1 up to at most the {classes} classes, not {listed or 'none'}")


def nested(rows: np.ndarray, sizes: Sequence[int], seed: int, restarts: int = RESTARTS) -> list[np.ndarray]:
    """Group numbers of each row, one array a level. Groups are numbered by the parent's number, then by the first row.

    One seed gives one result, always: k-means runs in a single thread, as sums in several threads may differ in
    their last bits from run to run and so tip a row over a border.
    """
    check_sizes(sizes, len(rows))
    levels: list[np.ndarray] = []
    groups = [np.arange(len(rows))]
    for size in sizes:
        parts = shares([len(group) for group in groups], size)
        groups = [part for group, k in zip(groups, parts) for part in _split(rows, group, k, seed, restarts)]
        labels = np.empty(len(rows), dtype=np.int64)
        for number, group in enumerate(groups):
            labels[group] = number
        levels.append(labels)
    return levels


def shares(counts: Sequence[int], total: int) -> list[int]:
    """`total` divided in proportion to `counts` by largest remainder; each share at least 1 and at most its count."""
    exact = [total * count / sum(counts) for count in counts]
    parts = [min(max(int(value), 1), count) for value, count in zip(exact, counts)]
    while sum(parts) != total:
        step = 1 if sum(parts) < total else -1
        open_ = [i for i, count in enumerate(counts) if (parts[i] < count if step > 0 else parts[i] > 1)]
        chosen = max(open_, key=lambda i: (step * (exact[i] - parts[i]), -i))
        parts[chosen] += step
    return parts


def _split(rows: np.ndarray, group: np.ndarray, k: int, seed: int, restarts: int) -> list[np.ndarray]:
    if k == 1:
        return [group]
    labels = kmeans(rows[group], k, seed, restarts) if k < len(group) else np.arange(k)
    parts = [group[labels == label] for label in range(k)]
    parts = sorted((part for part in parts if len(part)), key=lambda part: part[0])
    while len(parts) < k:  # equal rows (two classes of one name) leave groups empty: the largest gives one away
        largest = max(parts, key=len)
        parts = [part for part in parts if part is not largest] + [largest[:-1], largest[-1:]]
        parts.sort(key=lambda part: part[0])
    return parts


def kmeans(rows: np.ndarray, k: int, seed: int, restarts: int) -> np.ndarray:
    """Labels of one k-means (Lloyd, k-means++ starts) in one thread."""
    try:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise ProgcodecError(f"building a hierarchy needs the 'hierarchy' extra of this package ({error})") from error
    import warnings

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "fewer distinct clusters than asked for": dealt with above
        return KMeans(k, n_init=restarts, random_state=seed, algorithm="lloyd").fit(rows).labels_
