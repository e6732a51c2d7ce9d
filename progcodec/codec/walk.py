"""The walk: where networks and bitstream meet.

Encoding and decoding are two short users of one generator of coding steps.

    step 0, …       ẑ                      ─► features of the scale path, prior of the mean path
    then            block k: σ-indices (integers, CPU), μ (floats, device)
                    encoder: q = round((y − μ) / step), coded
                    decoder: q from the bytes; 0 where none arrived
                    both:    ŷ of block k = μ + step·q             ─► context of the next block

A level is one segment of the file and one or more blocks: refinement steps, each with what came
before it as context. ẑ comes in steps too (``bitstream/hyper.py``). Bits come from integers that
both sides hold; the float side only decides pixels. The step is 1 unless a stream's quality says
otherwise (``network/quality.py``).
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from progcodec.arrays import Ints
from progcodec.bitstream import ordering
from progcodec.bitstream.hyper import Guess, HyperCoding
from progcodec.bitstream.rangecoder import Runs
from progcodec.bitstream.tables import Tables
from progcodec.codec import passes
from progcodec.codec.timing import stage
from progcodec.config import HYPER_STRIDE
from progcodec.geometry import Box, hyper_size
from progcodec.network.checkpoint import CONTEXT, PRIORITIES, Checkpoint
from progcodec.network.device import placed
from progcodec.network.quality import step_size
from progcodec.network.tiles import Tiling

S = TypeVar("S")
R = TypeVar("R")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Step:
    """A part of ẑ, or one block, of a batch: what encoder and decoder need to code it.

    Attributes:
        segment: 0 for ẑ, k + 1 for level k.
        channels: of the latent, that the block holds; ẑ has none.
        done, total: symbols of the segment that came in earlier steps, and of the whole segment.
        items: the images of the batch whose earlier steps are whole; only these can be coded.
        shape: (C, h, w) of the step's symbols; (m,) of ẑ.
        indexes: σ-indices of those images, uint8 (len(items), C, h, w); None for ẑ.
        mean: μ of the block, (N, C, h, w) or of the walk's box alone, on the device; None for ẑ.
        guess: what is known of ẑ's symbols, all N; None for a block.
    """

    segment: int
    channels: slice
    done: int
    total: int
    items: tuple[int, ...]
    shape: tuple[int, ...]
    indexes: Ints | None
    mean: Tensor | None
    guess: Guess | None = None

    @property
    def last(self) -> bool:
        """Whether the step ends its segment."""
        return self.done + math.prod(self.shape) == self.total


class Walked(NamedTuple):
    """All that the steps gave.

    Attributes:
        y: ŷ, float32 (N, 320, h, w), or of the walk's box; q = 0 where nothing arrived.
        z: ẑ, int8 (N, C, hz, wz); what is expected where nothing arrived.
        q: of all blocks, int8 (N, 320, h, w); 0 where nothing arrived.
    """

    y: Tensor
    z: Ints
    q: Ints


Reply: TypeAlias = tuple[Ints, Sequence[bool]]
"""The answer to a step: symbols, int8 or int32 (N, *shape), and which images got all."""


class Walker:
    """The networks and tables of a checkpoint, and the steps in which they code a batch of images.

    Attributes:
        config: shape of the model.
        device: where the float networks run; the integer path always runs on the CPU.
        tiling: how large pictures are cut.
        analysis, synthesis, hyper_analysis, mean_path: float networks, on the device.
        scale_path: the integer path, on the CPU.
        medians: of ẑ, float32 (hyper channels, 1, 1), on the device.
        hyper: how ẑ is coded.
        hyper_tables, tables: integer tables of ẑ and, one for each σ-index, of q.
        priorities: uint8 (320, 64), of each channel of q and σ-index; None: all alike.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, tiling: Tiling) -> None:
        self.config = checkpoint.config
        self.device = device
        self.tiling = tiling
        model = checkpoint.build()
        self.scale_path = model.scale_path
        self.analysis = placed(model.analysis, device)
        self.synthesis = placed(model.synthesis, device)
        self.hyper_analysis = placed(model.hyper_analysis, device)
        self.mean_path = placed(model.mean_path, device)
        self.medians = (
            checkpoint.tensors["tables.hyper_medians"].float().clone().to(device)[:, None, None]
        )
        order, *context = (
            checkpoint.tensors[name].numpy().copy()
            for name in ("tables.hyper_order", *(CONTEXT if self.config.hyper_groups else ()))
        )
        self.hyper = HyperCoding(order, self.config.hyper_groups, *context)
        self.hyper_tables = Tables(checkpoint.tensors["tables.hyper"].numpy())
        self.tables = Tables(checkpoint.tensors["tables.gaussian"].numpy())
        self.priorities: Ints | None = None
        if self.config.priorities:
            self.priorities = checkpoint.tensors[PRIORITIES].numpy().copy()

    def walk(
        self,
        reply: Callable[[Step], Reply],
        qualities: Sequence[int],
        height: int,
        width: int,
        box: Box | None = None,
    ) -> Walked:
        """Takes every step with ``reply(step)``. Arguments as :meth:`steps`."""
        return drive(self.steps(qualities, height, width, box), reply)

    def steps(
        self, qualities: Sequence[int], height: int, width: int, box: Box | None = None
    ) -> Generator[Step, Reply, Walked]:
        """Yields the steps of one image for each quality, of ``height`` × ``width`` latent
        positions.

        Args:
            box: where μ and ŷ are wanted; edges are multiples of HYPER_STRIDE, or the latent's.
                There alone the mean path runs, and near the box's edges (``tiles.latent_box``) its
                results are not those of the whole latent.
        """
        box = box or Box(0, 0, height, width)
        n = len(qualities)
        sizes = torch.tensor(
            [step_size(quality) for quality in qualities], dtype=torch.float32, device=self.device
        )[:, None, None, None]
        z = np.zeros((n, self.config.hyper_channels, *hyper_size(height, width)), np.int8)
        whole, done = tuple(range(n)), 0
        for part in self.hyper.steps(*z.shape[2:]):
            guess, shape = self.hyper.guess(z, part), part.places.shape
            q, complete = yield Step(0, slice(0), done, z[0].size, whole, shape, None, None, guess)
            guess.put(z, q)
            done += shape[0]
            whole = tuple(i for i in whole if complete[i])
        with stage("scale path"):
            features = None
            if whole:
                z_whole = z[list(whole)]
                features = passes.features(self.scale_path, z_whole, height, width, self.tiling)
        with stage("mean path"):
            z_box = np.ascontiguousarray(box.over(HYPER_STRIDE).cut(z))
            z_hat = torch.from_numpy(z_box).to(self.device).float() + self.medians
            prior = passes.prior(self.mean_path, z_hat, box.height, box.width, self.tiling)
            size = n, self.config.latent_channels, box.height, box.width
            y_hat = torch.empty(
                size, dtype=prior.dtype, device=prior.device, memory_format=torch.channels_last
            )
        means = self.mean_path.steps(prior, self.tiling)
        earlier: Ints = np.empty((n, 0, height, width), np.int8)
        for k, channels in enumerate(self.config.blocks):
            start, end = self.config.offsets[k : k + 2]
            level = bisect_right(self.config.level_offsets, start)
            with stage("mean path"):
                mean = means.send(y_hat[:, :start]) if k else next(means)
            with stage("scale path"):
                indexes = None
                if whole:
                    # Only blocks that arrived whole come here: the integer path never sees a partly
                    # received one.
                    before = earlier[list(whole)] if k else None
                    own = [qualities[i] for i in whole]
                    assert features is not None
                    indexes = passes.index(self.scale_path, k, features, before, own, self.tiling)
            low, high = (height * width * self.config.level_offsets[i] for i in (level - 1, level))
            done, total = height * width * start - low, high - low
            shape = channels, height, width
            q, complete = yield Step(
                level, slice(start, end), done, total, whole, shape, indexes, mean
            )
            assert all(index in whole for index in range(n) if complete[index]), (
                "a block cannot precede its context"
            )
            still = tuple(i for i in whole if complete[i])
            if features is not None:
                features = features[[position for position, i in enumerate(whole) if i in still]]
            whole = still
            # all there is of a large picture's: four bytes each would be felt
            q = q.astype(np.int8, copy=False)
            earlier = np.concatenate((earlier, q), axis=1) if k else q
            with stage("mean path"):
                q_box = torch.from_numpy(np.ascontiguousarray(box.cut(q))).to(self.device)
                torch.add(mean, q_box.float().mul_(sizes), out=y_hat[:, start:end])
        return Walked(y_hat, z, earlier)

    def order(self, step: Step, position: int) -> tuple[Ints, Runs, Tables]:
        """Coding order, runs and tables of a step; ``position`` counts within ``step.items``."""
        with stage("ordering"):
            if step.guess is not None:
                rows = step.guess.rows[step.items[position]]
                return *self.hyper.coding_order(rows), self.hyper_tables
            assert step.indexes is not None
            own = None if self.priorities is None else self.priorities[step.channels]
            return *ordering.coding_order(step.indexes[position], own), self.tables


def drive(steps: Generator[S, R, Result], reply: Callable[[S], R]) -> Result:
    """Answers every step of a generator, at least one; returns what it returns."""
    step = next(steps)
    while True:
        try:
            step = steps.send(reply(step))
        except StopIteration as end:
            result: Result = end.value
            return result
