"""Frequency tables, and the context of ẑ, from what a trained model codes.

Training sees Gaussians and, for ẑ, one density a channel. What really comes has longer tails, and
neighbours in ẑ resemble each other: both are counted here, on training pictures, for the integers
that a checkpoint stores. The networks stay as they are.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from progcodec.arrays import Array, Floats, Ints
from progcodec.bitstream.hyper import WEIGHT_ONE, HyperCoding
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
from progcodec.lab.train.tables import gaussian_frequencies, quantise_pmf
from progcodec.network.checkpoint import Checkpoint

SYMBOLS = np.arange(-Q_MAX, Q_MAX + 1)
PRIOR = 40.0
"""Symbols that a smooth table counts for, beside those that were seen with its row."""
RIDGE = 20.0
"""Squares of neighbours that pull a weight to 0: channels that are nearly empty tell nothing."""
SPREAD_MIN = 0.05


def fit_tables(checkpoint: Checkpoint, pictures: Iterable[Image.Image]) -> Checkpoint:
    """The same networks, with the tables and the context of ẑ that suit these pictures.

    Raises TrainingError without any picture.
    """
    plain = _plain(checkpoint)
    codec = Codec(plain, "cpu")
    seen = np.zeros((SCALE_COUNT, ALPHABET))
    latents: list[Ints] = []
    for picture in pictures:
        ((hyper, *levels),) = codec.coded_segments([picture])
        z = np.empty(len(hyper.order), np.int8)
        z[hyper.order] = hyper.symbols
        latents.append(z.reshape(-1, *hyper_size(*latent_size(picture.height, picture.width))))
        for level in levels:
            np.add.at(seen, (level.tables, level.symbols + Q_MAX), 1)
    if not latents:
        raise TrainingError("there is no picture to fit tables to")
    tables = {"tables.gaussian": _mixed(seen, gaussian_frequencies())}
    recipe = plain.metadata.get("recipe", "recipe not recorded")
    return _with_context(
        replace(
            plain,
            tensors=plain.tensors | tables,
            metadata={**plain.metadata, "recipe": f"{recipe}; tables of {len(latents)} pictures"},
        ),
        latents,
    )


def _plain(checkpoint: Checkpoint) -> Checkpoint:
    """Without a context: a table for each channel, which is all that is wanted of it here."""
    channels = checkpoint.config.hyper_channels
    flat = torch.from_numpy(quantise_pmf(np.ones((channels, ALPHABET))))
    kept = {k: v for k, v in checkpoint.tensors.items() if not k.startswith("tables.hyper_w")}
    kept.pop("tables.hyper_thresholds", None)
    return replace(
        checkpoint,
        config=replace(checkpoint.config, hyper_groups=()),
        tensors=kept | {"tables.hyper": flat},
    )


def _mixed(seen: Array, prior: Array) -> torch.Tensor:
    """Tables of what was seen with each row, either sign alike, beside a prior."""
    share = prior / prior.sum(1, keepdims=True)
    return torch.from_numpy(quantise_pmf((seen + seen[:, ::-1]) / 2 + PRIOR * share))


def hyper_groups(channels: int) -> tuple[int, ...]:
    """The first channels alone, later ones in larger and larger groups: less of a picture."""
    sizes: list[int] = []
    for size in (1, 1, 1, 1, 2, 2, 4, 4, *(2**k for k in range(3, 13))):
        if rest := channels - sum(sizes):
            sizes.append(min(size, rest))
    return tuple(sizes)


def _with_context(checkpoint: Checkpoint, latents: list[Ints]) -> Checkpoint:
    order = checkpoint.tensors["tables.hyper_order"].numpy()
    channels = len(order)
    groups = hyper_groups(channels)
    weights = np.zeros((channels, 3), np.int32)
    thresholds = np.zeros((channels, HYPER_PHASES - 1, HYPER_BINS - 1), np.int32)
    coding = HyperCoding(order, groups, weights, thresholds)
    shapes = sorted({z.shape for z in latents})
    batches = [np.stack([z for z in latents if z.shape == shape]) for shape in shapes]
    for phase in range(1, HYPER_PHASES):
        for channel in range(channels):
            truth, around = (
                np.concatenate(parts, axis=-1)
                for parts in zip(
                    *(_around(coding, z, channel, phase) for z in batches), strict=True
                )
            )
            pairs = around.reshape(2, 2, -1).sum(1)  # above and below, left and right
            pairs = pairs.sum(0, keepdims=True) if phase == 1 else pairs
            system = pairs @ pairs.T + RIDGE * np.eye(len(pairs))
            found = np.rint(np.linalg.solve(system, pairs @ truth) * WEIGHT_ONE)
            weights[channel, slice(1) if phase == 1 else slice(1, 3)] = found
            lively = 2 * (around.max(0) - around.min(0)) + np.abs(around).sum(0)
            cuts = np.arange(1, HYPER_BINS) / HYPER_BINS
            if len(truth):
                thresholds[channel, phase - 1] = np.quantile(lively, cuts)
    seen = np.zeros((channels * HYPER_CONTEXTS, ALPHABET))
    for z in batches:
        for step in coding.steps(*z.shape[2:]):
            guess = coding.guess(z, step)
            np.add.at(seen, (guess.rows, guess.symbols(z).astype(np.int64) + Q_MAX), 1)
    # Where little is left of m, its sign says nothing.
    context = np.arange(len(seen)) % HYPER_CONTEXTS - 1 - HYPER_BINS
    either = ((context >= 0) & (context % 2 == 0))[:, None]
    seen = np.where(either, (seen + seen[:, ::-1]) / 2, seen)
    tensors = {
        "tables.hyper": torch.from_numpy(quantise_pmf(seen + PRIOR * _laplacian(seen))),
        "tables.hyper_weights": torch.from_numpy(weights),
        "tables.hyper_thresholds": torch.from_numpy(thresholds),
    }
    config = replace(checkpoint.config, hyper_groups=groups)
    return replace(checkpoint, config=config, tensors=checkpoint.tensors | tensors)


def _around(coding: HyperCoding, z: Ints, channel: int, phase: int) -> tuple[Floats, Floats]:
    """ẑ of one channel at a phase's positions, (m,), and its four neighbours, (4, m), of all."""
    flat = z.reshape(len(z), -1)
    found = [np.zeros((5, 0))]
    for step in coding.steps(*z.shape[2:]):
        own = step.channels == channel
        if step.phase == phase and step.neighbours is not None and own.any():
            places = np.concatenate((step.places[own][None], step.neighbours[:, own]))
            found.append(flat[:, places].transpose(1, 0, 2).reshape(5, -1).astype(np.float64))
    both = np.concatenate(found, axis=1)
    return both[0], both[1:]


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
