"""Labels that want the same place, moved apart by as little as can be."""

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places from `low` to `high`, at least `gap` apart and in the order of the wanted ones, equals as they come.

    Of all such places those of the least sum of squared moves: the labels that meet form a heap around their mean. Where there
    is not room for all, they share what there is evenly. The result is in the order of the arguments.
    """
    count = len(wanted)
    if count > 1:
        gap = min(gap, (high - low) / (count - 1))
    order = sorted(range(count), key=lambda index: wanted[index])
    # With i gaps taken off the i-th place, "a gap apart" becomes "not falling": neighbours that fall are pooled to their mean.
    heaps: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, size = wanted[index] - rank * gap, 1
        while heaps and heaps[-1][0] >= mean:
            other, others = heaps.pop()
            mean, size = (mean * size + other * others) / (size + others), size + others
        heaps.append((mean, size))
    level = [
        min(max(mean, low), high - (count - 1) * gap) for mean, size in heaps for _ in range(size)
    ]
    places = [0.0] * count
    for rank, index in enumerate(order):
        places[index] = level[rank] + rank * gap
    return places
