"""The one door to the codec's inside: the integers that rivals code, the σ-indices that they may know, and pictures again."""

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image

from progcodec.arrays import Flags, Floats, Ints
from progcodec.bitstream.ordering import hyper_coding_order, hyper_runs
from progcodec.bitstream.rangecoder import Runs
from progcodec.bitstream.tables import Tables
from progcodec.codec.passes import exact
from progcodec.geometry import hyper_size, latent_size
from progcodec.image import crop, from_tensor

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec


class Source(NamedTuple):
    """What the codec makes of an image: ẑ, int32 (hyper channels, hz, wz), q, int32 (C, h, w), and the size in pixels."""

    z: Ints
    q: Ints
    width: int
    height: int


def analyse(codec: "Codec", image: object) -> Source:
    """The integers that our own stream of the image holds, from that stream."""
    latent = codec.decode_latent(codec.encode(image, checksums=False))
    return Source(latent.z, latent.q, latent.width, latent.height)


def latent_shape(codec: "Codec", width: int, height: int) -> tuple[int, int, int]:
    """(C, h, w) of a picture's latent."""
    return codec.config.latent_channels, *latent_size(height, width)


class Hyperlatent(NamedTuple):
    """How ẑ is coded, the same way for all: its shape, its flat coding order, its runs and tables."""

    shape: tuple[int, int, int]
    order: Ints
    runs: Runs
    tables: Tables


def hyperlatent(codec: "Codec", width: int, height: int) -> Hyperlatent:
    rows, columns = hyper_size(*latent_size(height, width))
    channels = codec.walker.hyper_order
    shape = (codec.config.hyper_channels, rows, columns)
    order, runs = hyper_coding_order(channels, rows, columns), hyper_runs(channels, rows, columns)
    return Hyperlatent(shape, order, runs, codec.walker.hyper_tables)


class Scales:
    """The integer scale path of one image, once ẑ has arrived whole.

    Attributes:
        shape: (C, h, w) of the latent.
        offsets: first channel of each block, and C.
        tables: the Gaussian tables, one for each σ-index.
    """

    def __init__(self, codec: "Codec", z: Ints, width: int, height: int) -> None:
        self.codec = codec
        self.offsets = codec.config.offsets
        self.shape = latent_shape(codec, width, height)
        self.tables = codec.walker.tables
        with torch.inference_mode():
            self._features = codec.walker.scale_path.features(exact(z)[None], *self.shape[1:])

    @torch.inference_mode()
    def block(self, k: int, earlier: Ints | None) -> Ints:
        """σ-indices of block k, uint8 (channels, h, w); ``earlier``: integers (offsets[k], h, w), or None for Δ off."""
        index = self.codec.walker.scale_path.index(
            k, self._features, None if earlier is None else exact(earlier)[None]
        )
        return index[0].to(torch.uint8).numpy()

    def base(self) -> Ints:
        """σ-indices from ẑ alone, Δ off, uint8 (C, h, w)."""
        return np.concatenate([self.block(k, None) for k in range(len(self.offsets) - 1)])

    def given(self, q: Ints) -> Ints:
        """σ-indices of all blocks, uint8 (C, h, w), with q (C, h, w) as what is known of each block's earlier ones."""
        blocks = len(self.offsets) - 1
        return np.concatenate(
            [self.block(k, q[: self.offsets[k]] if k else None) for k in range(blocks)]
        )


@torch.inference_mode()
def reconstruct(codec: "Codec", z: Ints, q: Ints, kept: Flags | None = None) -> torch.Tensor:
    """ŷ = μ + q, float32 (1, C, h, w), block by block: μ of a block sees the ŷ of the blocks before it as they are.

    Args:
        q: float32 (C, h, w); 0, or an expectation, where a symbol has not arrived.
        kept: bool (C, h, w): where it is False, ŷ is 0 instead. None keeps all.
    """
    values = torch.from_numpy(np.ascontiguousarray(q, np.float32))
    return _reconstruct(codec, z, values, None if kept is None else torch.from_numpy(kept))


def _reconstruct(
    codec: "Codec", z: Ints, q: torch.Tensor, kept: torch.Tensor | None = None
) -> torch.Tensor:
    z_hat = torch.from_numpy(z)[None].to(codec.device).float() + codec.walker.medians
    prior = codec.walker.mean_path.prior(
        z_hat.contiguous(memory_format=torch.channels_last), *q.shape[1:]
    )
    offsets = codec.config.offsets
    prefix: torch.Tensor | None = None
    path = codec.walker.mean_path
    for k, (start, end) in enumerate(pairwise(offsets)):
        if start in codec.config.level_offsets:
            shared = path.features(prior, prefix)
        hat = path.mean(k, shared, prior, prefix) + q[start:end].to(codec.device)
        if kept is not None:
            hat = hat * kept[start:end].to(codec.device)
        prefix = hat if prefix is None else torch.cat((prefix, hat), 1)
    assert prefix is not None
    return prefix


@torch.inference_mode()
def picture(codec: "Codec", y: torch.Tensor, width: int, height: int) -> Image.Image:
    """RGB picture of ŷ (1, C, h, w)."""
    x = codec.walker.synthesis(y.contiguous(memory_format=torch.channels_last))
    return from_tensor(crop(x, height, width))


def squared_gains(codec: "Codec", source: Source, probes: int = 4) -> Floats:
    """How much a unit of squared error in each channel's q̂ adds to the picture's, float64 (C,): mean over positions.

    The derivative goes through g_s and through the mean path: an error of a coarse channel also misleads μ of the
    channels that are predicted from it. Estimated with ``probes`` random sign pictures (Hutchinson), fixed seed.
    """
    q = torch.from_numpy(source.q.astype(np.float32)).requires_grad_()
    with torch.enable_grad():
        x = codec.walker.synthesis(_reconstruct(codec, source.z, q))
        generator = torch.Generator().manual_seed(0)
        total = torch.zeros_like(q)
        for _ in range(probes):
            signs = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
            total += torch.autograd.grad((x * signs).sum(), q, retain_graph=True)[0].square()
    return (total / probes).mean((1, 2)).double().numpy()
