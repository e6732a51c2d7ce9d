"""Fits a :class:`Calibration`: the temperatures under which held-out labels are likeliest.

The logarithmic score of the classes, and of the groups above them, splits into the scores of the
factors: each factor's temperatures are fitted alone, on the pictures whose group above is the right
one by definition.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from progcodec.arrays import Floats, Ints
from progcodec.classification.calibration import KNOTS, Calibration, at_knots, factors

SMOOTHNESS = 0.02
"""Penalty on second differences of the log temperature between knots: what few pictures cannot
tell."""
STEPS = 60
NOTHING = -1e6
"""Log probability of what is no sibling; finite, as infinity has no gradient."""


def calibrate(
    logits: Floats, labels: Ints, bits: Floats, groups: Ints, knots: Sequence[float] = KNOTS
) -> Calibration:
    """Temperatures for N prefixes of held-out pictures.

    Args:
        logits: (N, classes). labels: (N,) classes. bits: received, (N,); infinitely many for the
            clean picture.
        groups: (levels, classes), nested, as ``Hierarchy.assignments``.
    """
    grid = np.asarray(knots, np.float64)
    place = torch.from_numpy(at_knots(bits, grid))
    temperatures = []
    targets = [np.unique(level, return_inverse=True)[1][labels] for level in groups]
    targets.append(np.asarray(labels))
    split = factors(np.asarray(logits, np.float64), groups)
    for (factor, parents), target in zip(split, targets, strict=True):
        siblings = _siblings(parents)[parents[target]]
        rows = np.take_along_axis(factor, np.maximum(siblings, 0), axis=1)
        rows[siblings < 0] = NOTHING
        truth = (siblings == np.asarray(target)[:, None]).argmax(1)
        temperatures.append(_fit(torch.from_numpy(rows), torch.from_numpy(truth), place))
    return Calibration(np.asarray(groups, np.int64), grid, np.stack(temperatures))


def _siblings(parents: Ints) -> Ints:
    """int64 (parents, most children): the children of each parent, then -1."""
    children = [np.flatnonzero(parents == parent) for parent in range(int(parents.max()) + 1)]
    table = np.full((len(children), max(map(len, children))), -1)
    for row, places in zip(table, children, strict=True):
        row[: len(places)] = places
    return table


def _fit(rows: Tensor, truth: Tensor, place: Tensor) -> Floats:
    """Log temperature at each knot under which the truth (N,) is likeliest among rows (N, most);
    place: (N, knots).
    """
    theta = torch.zeros(place.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        tempered = rows * torch.exp(-(place @ theta).clamp(-3, 3))[:, None]
        chosen = tempered.gather(1, truth[:, None])[:, 0]
        value = (tempered.logsumexp(1) - chosen).mean()
        curvature = (theta[2:] - 2 * theta[1:-1] + theta[:-2]).square().sum()
        value = value + SMOOTHNESS * (curvature + 0.01 * theta.square().mean())
        value.backward()
        return value

    optimizer.step(loss)
    return theta.detach().numpy().copy()
