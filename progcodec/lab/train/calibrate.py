"""Fits a :class:`Calibration`: the temperatures under which held-out labels are likeliest.

The logarithmic score of the classes, and of the groups above them, splits into the scores of the factors: each factor's
temperatures are fitted alone, on the pictures whose group above is the right one by definition.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from progcodec.arrays import Floats, Ints
from progcodec.classification.calibration import KNOTS, Calibration, factors, hats, size_term

SMOOTHNESS = 0.02
"""Penalty on second differences of the log temperature between knots, and on the slopes: what few pictures cannot tell."""
STEPS = 60
NOTHING = -1e6
"""Log probability of what is no sibling; finite, as infinity has no gradient."""


def calibrate(
    logits: Floats,
    labels: Ints,
    bits: Floats,
    positions: Floats,
    groups: Ints,
    weights: Floats | None = None,
    knots: Sequence[float] = KNOTS,
) -> Calibration:
    """Temperatures for N prefixes of held-out pictures.

    Args:
        logits: (N, classes). labels: (N,) classes. bits: per latent position, (N,). positions: latent positions, (N,).
        groups: (levels, classes), nested, as ``Hierarchy.assignments``.
        weights: (N,), how much each prefix counts; default: all the same.
    """
    grid = np.asarray(knots, np.float64)
    place = torch.from_numpy(hats(np.log2(1 + np.asarray(bits, np.float64)), grid))
    size = torch.from_numpy(size_term(positions))
    shares = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    share = torch.from_numpy(shares / shares.sum())
    temperatures, slopes = [], []
    targets = [np.unique(level, return_inverse=True)[1][labels] for level in groups] + [
        np.asarray(labels)
    ]
    for (factor, parents), target in zip(
        factors(np.asarray(logits, np.float64), groups), targets, strict=True
    ):
        siblings = _siblings(parents)[parents[target]]
        rows = np.take_along_axis(factor, np.maximum(siblings, 0), axis=1)
        rows[siblings < 0] = NOTHING
        truth = (siblings == np.asarray(target)[:, None]).argmax(1)
        theta, slope = _fit(torch.from_numpy(rows), torch.from_numpy(truth), place, size, share)
        temperatures.append(theta)
        slopes.append(slope)
    return Calibration(np.asarray(groups, np.int64), grid, np.stack(temperatures), np.array(slopes))


def _siblings(parents: Ints) -> Ints:
    """int64 (parents, most children): the children of each parent, then -1."""
    children = [np.flatnonzero(parents == parent) for parent in range(int(parents.max()) + 1)]
    table = np.full((len(children), max(map(len, children))), -1)
    for row, places in zip(table, children, strict=True):
        row[: len(places)] = places
    return table


def _fit(
    rows: Tensor, truth: Tensor, place: Tensor, size: Tensor, share: Tensor
) -> tuple[Floats, float]:
    """Log temperature at each knot, and its slope by size, under which the truth (N,) is likeliest among rows (N, most)."""
    theta = torch.zeros(place.shape[1], dtype=torch.float64, requires_grad=True)
    slope = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta, slope], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        log_temperature = (place @ theta + slope * size).clamp(-3, 3)
        tempered = rows * torch.exp(-log_temperature)[:, None]
        chosen = tempered.gather(1, truth[:, None])[:, 0]
        value = (share * (tempered.logsumexp(1) - chosen)).sum()
        curvature = (
            (theta[2:] - 2 * theta[1:-1] + theta[:-2]).square().sum() if len(theta) > 2 else 0.0
        )
        value = value + SMOOTHNESS * (
            curvature + 0.1 * slope.square() + 0.01 * theta.square().mean()
        )
        value.backward()
        return value

    optimizer.step(loss)
    return theta.detach().numpy().copy(), float(slope.detach())
