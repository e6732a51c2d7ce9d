"""Frequency tables, the context of ẑ and the order of symbols, from what a trained model codes.

Training sees Gaussians and, for ẑ, one density a channel. What really comes has longer tails, and
neighbours in ẑ resemble each other: both are counted here, on training pictures, for the integers
that a checkpoint stores. The order is found in ``fit_priorities.py``. The networks stay as they
are.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from progcodec.arrays import Array, Floats, Ints
from progcodec.bitstream.hyper import WEIGHT_ONE, HyperCoding, activity, lattice
from progcodec.bitstream.tables import TOTAL
from progcodec.codec.codec import Codec
from progcodec.config import (
    ALPHABET,
    HYPER_BINS,
    HYPER_CONTEXTS,
    HYPER_PHASES,
    Q_MAX,
    SCALE_COUNT,
)
from progcodec.errors import TrainingError
from progcodec.geometry import hyper_size, latent_size
from progcodec.lab.train.fit_priorities import PICTURES, fit_priorities
from progcodec.lab.train.tables import gaussian_frequencies, quantise_pmf
from progcodec.network.checkpoint import CONTEXT, PRIORITIES, Checkpoint

SYMBOLS = np.arange(-Q_MAX, Q_MAX + 1)
PRIOR = 40.0
"""Symbols that a smooth table counts for, beside those that were seen with its row."""
RIDGE = 20.0
"""Squares of neighbours that pull a weight to 0: channels that are nearly empty tell nothing."""
SPREAD_MIN = 0.05


def fit_tables(checkpoint: Checkpoint, pictures: Iterable[Image.Image]) -> Checkpoint:
    """The same networks, with the tables, the context of ẑ and the order that suit these pictures.

    Raises TrainingError without any picture.
    """
    plain = _plain(checkpoint)
    codec = Codec(plain, "cpu")
    seen = np.zeros((SCALE_COUNT, ALPHABET))
    latents: dict[tuple[int, ...], list[Ints]] = {}  # by shape
    first: list[Image.Image] = []
    count = 0
    for count, picture in enumerate(pictures, 1):
        if len(first) < PICTURES:
            first.append(picture)
        ((hyper, *levels),) = codec.coded_segments([picture])
        z = np.empty(len(hyper.order), np.int8)
        z[hyper.order] = hyper.symbols
        z = z.reshape(-1, *hyper_size(*latent_size(picture.height, picture.width)))
        latents.setdefault(z.shape, []).append(z)
        for level in levels:
            np.add.at(seen, (level.tables, level.symbols + Q_MAX), 1)
    if not count:
        raise TrainingError("there is no picture to fit tables to")
    context = _context(
        plain.tensors["tables.hyper_order"].numpy(), [np.stack(z) for z in latents.values()]
    )
    seen = (seen + seen[:, ::-1]) / 2
    tables = {"tables.gaussian": _tables(seen, gaussian_frequencies() / TOTAL)} | context
    recipe = plain.metadata.get("recipe", "recipe not recorded")
    fitted = Checkpoint(
        replace(plain.config, hyper_groups=hyper_groups(plain.config.hyper_channels)),
        plain.tensors | tables,
        {**plain.metadata, "recipe": f"{recipe}; tables of {count} pictures"},
    )
    return fit_priorities(fitted, first)


def _plain(checkpoint: Checkpoint) -> Checkpoint:
    """Without a context: a table for each channel, which is all that is wanted of it here; and
    without priorities.
    """
    channels = checkpoint.config.hyper_channels
    fitted = *CONTEXT, PRIORITIES
    kept = {name: v for name, v in checkpoint.tensors.items() if name not in fitted}
    flat = torch.from_numpy(quantise_pmf(np.ones((channels, ALPHABET))))
    config = replace(checkpoint.config, hyper_groups=(), priorities=False)
    return Checkpoint(config, kept | {"tables.hyper": flat}, checkpoint.metadata)


def _tables(seen: Array, prior: Array) -> torch.Tensor:
    """Of what was seen with each row, beside probabilities, both (T, 255)."""
    return torch.from_numpy(quantise_pmf(seen + PRIOR * prior))


def hyper_groups(channels: int) -> tuple[int, ...]:
    """The first channels alone, later ones in larger and larger groups: less of a picture."""
    sizes: list[int] = []
    for size in (1, 1, 1, 1, 2, 2, 4, 4, *(2**k for k in range(3, 13))):
        if rest := channels - sum(sizes):
            sizes.append(min(size, rest))
    return tuple(sizes)


def _context(order: Ints, latents: list[Ints]) -> dict[str, torch.Tensor]:
    """Weights, thresholds and tables of ẑ, (N, C, h, w) of each shape."""
    channels = len(order)
    weights = np.zeros((channels, 3), np.int32)
    thresholds = np.zeros((channels, HYPER_PHASES - 1, HYPER_BINS - 1), np.int32)
    for phase in range(1, HYPER_PHASES):
        truth, around = _neighbours(latents, phase)
        pairs = around.reshape(channels, 2, 2, -1).sum(2)  # above and below, left and right
        pairs = pairs.sum(1, keepdims=True) if phase == 1 else pairs
        system = pairs @ pairs.transpose(0, 2, 1) + RIDGE * np.eye(pairs.shape[1])
        found = np.linalg.solve(system, pairs @ truth[:, :, None])[:, :, 0]
        weights[:, slice(1) if phase == 1 else slice(1, 3)] = np.rint(found * WEIGHT_ONE)
        if truth.size:
            cuts = np.arange(1, HYPER_BINS) / HYPER_BINS
            thresholds[:, phase - 1] = np.quantile(activity(around), cuts, axis=1).T
    seen = np.zeros((channels * HYPER_CONTEXTS, ALPHABET))
    coding = HyperCoding(order, hyper_groups(channels), weights, thresholds)
    for z in latents:
        for step in coding.steps(*z.shape[2:]):
            guess = coding.guess(z, step)
            np.add.at(seen, (guess.rows, guess.symbols(z).astype(np.int64) + Q_MAX), 1)
    # Where little is left of m, its sign says nothing.
    context = np.arange(len(seen)) % HYPER_CONTEXTS - 1 - HYPER_BINS
    either = ((context >= 0) & (context % 2 == 0))[:, None]
    seen = np.where(either, (seen + seen[:, ::-1]) / 2, seen)
    return {
        "tables.hyper": _tables(seen, _laplacian(seen)),
        "tables.hyper_weights": torch.from_numpy(weights),
        "tables.hyper_thresholds": torch.from_numpy(thresholds),
    }


def _neighbours(latents: list[Ints], phase: int) -> tuple[Floats, Floats]:
    """ẑ at a phase's positions, (C, m), and its four neighbours, (C, 4, m), of all latents."""
    found = []
    for z in latents:
        positions, neighbours = lattice(*z.shape[2:])[phase]
        assert neighbours is not None
        flat = z.reshape(*z.shape[:2], -1).astype(np.float64)
        both = flat[:, :, np.concatenate((positions[None], neighbours))]
        found.append(both.transpose(1, 2, 0, 3).reshape(z.shape[1], 5, -1))
    together = np.concatenate(found, axis=2)
    return together[:, 0], together[:, 1:]


def _laplacian(seen: Array) -> Array:
    """Laplacians as wide as what was seen with each row; with an empty one, as all others of its
    channel.
    """
    count = seen.sum(1)
    spread = (seen * np.abs(SYMBOLS)).sum(1)
    of_channel = spread.reshape(-1, HYPER_CONTEXTS).sum(1) / np.maximum(
        count.reshape(-1, HYPER_CONTEXTS).sum(1), 1
    )
    own = np.where(count > 0, spread / np.maximum(count, 1), of_channel.repeat(HYPER_CONTEXTS))
    scale = np.maximum(own, SPREAD_MIN)[:, None]
    inner = 1 - np.exp(-0.5 / scale)
    outer = np.exp(-np.abs(SYMBOLS) / scale) * np.sinh(0.5 / scale)
    return np.where(SYMBOLS == 0, inner, outer)
