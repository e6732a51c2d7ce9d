"""The walk: where networks and bitstream meet. Encoding and decoding are two short users of one generator of coding steps.

    step 0          ẑ                      ─► features of the scale path, prior of the mean path
    step 1, 2, 3    block k: σ-indices (integers, CPU), μ (floats, device)
                    encoder: q = round(y − μ), coded      decoder: q from the bytes; 0 where none arrived
                    both:    ŷ of block k = μ + q         ─► context of the next block

Bits come from integers that both sides hold; the float side only decides pixels.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from progcodec.bitstream import ordering
from progcodec.bitstream.rangecoder import Runs
from progcodec.bitstream.tables import Tables
from progcodec.config import HYPER_STRIDE
from progcodec.network.checkpoint import Checkpoint
from progcodec.timing import stage


@dataclass(frozen=True)
class Step:
    """One segment of a batch: what encoder and decoder need to code it.

    Attributes:
        segment: 0 for ẑ, k + 1 for block k.
        items: the images of the batch whose earlier segments are whole; only these can be coded.
        shape: (C, h, w) of the segment's symbols.
        indexes: σ-indices of those images, uint8 (len(items), C, h, w); None for ẑ.
        mean: μ of the block, (N, C, h, w) on the device; None for ẑ.
    """

    segment: int
    items: tuple[int, ...]
    shape: tuple[int, int, int]
    indexes: np.ndarray | None
    mean: Tensor | None


Reply: TypeAlias = tuple[np.ndarray, Sequence[bool]]
"""What a user of the walk answers to a step: symbols, int32 (N, C, h, w), and which images got all of theirs."""


class Walker:
    """The networks and tables of a checkpoint, and the steps in which they code a batch of images.

    Attributes:
        config: shape of the model.
        device: where the float networks run; the integer path always runs on the CPU.
        analysis, synthesis, hyper_analysis, mean_path: float networks, on the device.
        scale_path: the integer path, on the CPU.
        medians: of ẑ, float32 (hyper channels, 1, 1), on the device.
        hyper_order: channels of ẑ in coding order.
        hyper_tables, tables: integer tables of ẑ, one for each channel, and of q, one for each σ-index.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.config = checkpoint.config
        self.device = device
        model = checkpoint.build()
        self.scale_path = model.scale_path
        self.analysis = model.analysis.to(device, memory_format=torch.channels_last)
        self.synthesis = model.synthesis.to(device, memory_format=torch.channels_last)
        self.hyper_analysis = model.hyper_analysis.to(device, memory_format=torch.channels_last)
        self.mean_path = model.mean_path.to(device, memory_format=torch.channels_last)
        self.medians = checkpoint.tensors["tables.hyper_medians"].float().clone().to(device)[:, None, None]
        self.hyper_order = checkpoint.tensors["tables.hyper_order"].numpy().copy()
        self.hyper_tables = Tables(checkpoint.tensors["tables.hyper"].numpy())
        self.tables = Tables(checkpoint.tensors["tables.gaussian"].numpy())

    def steps(self, n: int, height: int, width: int) -> Generator[Step, Reply, Tensor]:
        """Yields the steps of ``n`` images of ``height`` × ``width`` latent positions; returns ŷ, float32 (n, 320, h, w)."""
        hyper_shape = (self.config.hyper_channels, -(-height // HYPER_STRIDE), -(-width // HYPER_STRIDE))
        z, complete = yield Step(0, tuple(range(n)), hyper_shape, None, None)
        whole = tuple(i for i in range(n) if complete[i])
        with stage("scale path"):
            features = self.scale_path.features(exact(z[list(whole)]), height, width) if whole else None
        with stage("mean path"):
            z_hat = torch.from_numpy(z).to(self.device).float() + self.medians
            prior = self.mean_path.prior(z_hat.contiguous(memory_format=torch.channels_last), height, width)
        prefix: Tensor | None = None
        earlier: np.ndarray | None = None
        for k, channels in enumerate(self.config.blocks):
            with stage("mean path"):
                mean = self.mean_path.mean(k, prior, prefix)
            with stage("scale path"):
                indexes = None
                if whole:
                    # Only blocks that arrived whole come here: the integer path never sees a partly received one.
                    indexes = self.scale_path.index(k, features, None if earlier is None else exact(earlier[list(whole)]))
                    indexes = indexes.to(torch.uint8).numpy()
            q, complete = yield Step(k + 1, whole, (channels, height, width), indexes, mean)
            assert all(index in whole for index in range(n) if complete[index]), "a block cannot precede its context"
            still = tuple(i for i in whole if complete[i])
            if features is not None:
                features = features[[position for position, i in enumerate(whole) if i in still]]
            whole = still
            earlier = q if earlier is None else np.concatenate((earlier, q), axis=1)
            with stage("mean path"):
                hat = mean + torch.from_numpy(q).to(self.device).float()
                prefix = hat if prefix is None else torch.cat((prefix, hat), 1)
        return prefix  # type: ignore[return-value]

    def order(self, step: Step, position: int) -> tuple[np.ndarray, Runs, Tables]:
        """Coding order, runs and tables of one image's symbols in a step; ``position`` counts within ``step.items``."""
        with stage("ordering"):
            if step.indexes is None:
                size = step.shape[1:]
                order = ordering.hyper_coding_order(self.hyper_order, *size)
                return order, ordering.hyper_runs(self.hyper_order, *size), self.hyper_tables
            indexes = step.indexes[position]
            return ordering.coding_order(indexes), ordering.runs(indexes), self.tables


def exact(values: np.ndarray) -> Tensor:
    """Integers as the float32 tensor, on the CPU, in which the scale path computes exactly."""
    return torch.from_numpy(np.ascontiguousarray(values)).float()
