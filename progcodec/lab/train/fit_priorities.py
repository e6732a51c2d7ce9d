"""Which symbols of a block come first: those that save most squared error for their bits.

σ alone does not tell: a step of one channel may be worth ten times a step of another in the
picture. So each channel is switched, on in a block of which nothing else arrived and off in a whole
block, and what that changes in pixels is compared with what its symbols cost.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from PIL import Image

from progcodec.arrays import Flags, Floats, Ints
from progcodec.bitstream.ordering import PRIORITY_MAX
from progcodec.bitstream.tables import TOTAL
from progcodec.codec.codec import Codec
from progcodec.config import Q_MAX
from progcodec.network.checkpoint import PRIORITIES, Checkpoint

PICTURES = 24
"""That channels are switched in, a square of each."""
SIDE = 96
BATCH = 8
SLOPE = 1.6
"""By which power of E[q²] over bits a symbol's use grows. Above 1: the larger σ, the less of E[q²]
is rounding. Measured on the shipped model: 1.4 to 1.6 in each block; a little more serves cuts."""
STEPS = 8
"""Priorities to an octave of error saved for a bit."""
CLASSES = 3
"""Kinds of channels to an octave: each makes runs of its own in the range coder."""
RANGE = 8.0
"""A channel's use differs from that of its block's median by no more: few symbols say little."""


def fit_priorities(checkpoint: Checkpoint, pictures: Iterable[Image.Image]) -> Checkpoint:
    """The same model, whose blocks are coded in the order that suits these pictures."""
    config = replace(checkpoint.config, priorities=False)
    kept = {name: v for name, v in checkpoint.tensors.items() if name != PRIORITIES}
    codec = Codec(Checkpoint(config, kept, checkpoint.metadata), "cpu")
    density = _density(kept["tables.gaussian"].numpy())
    saved = np.zeros(config.latent_channels)
    promised = np.zeros(config.latent_channels)
    for picture in pictures:
        saved_here, q, indexes = _switched(codec, _square(picture))
        promised_here = (np.square(q) * density[indexes] ** (SLOPE - 1)).sum((1, 2))
        # each picture counts alike, as it does in a mean of PSNR: not the busiest alone
        whole = max(promised_here.sum(), 1.0)
        saved += saved_here / whole
        promised += promised_here / whole
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(promised > 0, saved / promised, np.nan)
    priorities = np.concatenate(
        [_ranked(gain[start:end], density**SLOPE) for start, end in pairwise(config.offsets)]
    )
    return Checkpoint(
        replace(config, priorities=True),
        kept | {PRIORITIES: torch.from_numpy(priorities)},
        checkpoint.metadata,
    )


def _density(frequencies: Ints) -> Floats:
    """E[q²] for each bit, at each σ-index, (64,); never falling."""
    share = frequencies / TOTAL
    bits = -(share * np.log2(share)).sum(1)
    floor = 1 / TOTAL  # that every symbol has, the largest too
    power = ((share - floor) * np.square(np.arange(-Q_MAX, Q_MAX + 1))).sum(1)
    density: Floats = np.maximum.accumulate(np.maximum(power, floor) / bits)
    return density


def _ranked(gain: Floats, use: Floats) -> Ints:
    """Priorities, uint8 (C, 64), of a block's channels; the best has the highest. ``use``: error
    saved for each bit at each σ-index, up to a channel's gain.
    """
    usual = float(np.nanmedian(gain)) if np.isfinite(gain).any() else 1.0
    usual = usual if usual > 0 else 1.0
    gain = np.clip(np.nan_to_num(gain, nan=usual), usual / RANGE, usual * RANGE)
    octaves = np.rint(np.log2(gain) * CLASSES)[:, None] / CLASSES + np.log2(use)
    ranks: Ints = np.rint(PRIORITY_MAX - (octaves.max() - octaves) * STEPS).clip(0).astype(np.uint8)
    return ranks


def _square(picture: Image.Image) -> Image.Image:
    left, top = (max(0, (side - SIDE) // 2) for side in picture.size)
    return picture.crop(
        (left, top, min(left + SIDE, picture.width), min(top + SIDE, picture.height))
    )


@torch.inference_mode()
def _switched(codec: Codec, picture: Image.Image) -> tuple[Floats, Ints, Ints]:
    """Squared error that each channel saves, (C,); every symbol and its σ-index, (C, h, w)."""
    latent = codec.decode_latent(codec.encode(picture))
    indexes = np.zeros(latent.q.size, np.int64)
    start = 0
    for segment in codec.coded_segments([picture])[0][1:]:
        indexes[segment.order + start] = segment.tables
        start += len(segment.order)
    offsets = codec.config.offsets
    saved = np.zeros(offsets[-1])
    for start, end in pairwise(offsets):
        nothing = np.arange(offsets[-1]) < start
        whole = np.arange(offsets[-1]) < end
        channels = np.eye(offsets[-1], dtype=bool)[start:end]
        without, alone = _errors(codec, picture, latent.z, latent.q, nothing | channels, nothing)
        with_all, but_one = _errors(codec, picture, latent.z, latent.q, whole & ~channels, whole)
        saved[start:end] = (without - alone) + (but_one - with_all)
    return saved, latent.q, indexes.reshape(latent.q.shape)


def _errors(
    codec: Codec, picture: Image.Image, z: Ints, q: Ints, arrived: Flags, base: Flags
) -> tuple[float, Floats]:
    """Squared error of the picture with the base's channels, and with each row of ``arrived``."""
    truth = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1) / 255
    found: list[float] = []
    rows = np.concatenate((base[None], arrived))
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        y = codec.assemble(z[None].repeat(len(some), 0), q * some[:, :, None, None])
        made = codec.walker.synthesis(y)[:, :, : truth.shape[1], : truth.shape[2]].clamp(0, 1)
        found += (made - truth).square().sum((1, 2, 3)).tolist()
    return found[0], np.array(found[1:])
