"""The encoder's side of the walk: pictures to the segments of their streams."""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from progcodec.arrays import Ints
from progcodec.bitstream import ordering
from progcodec.bitstream.rangecoder import Runs, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.codec import passes
from progcodec.codec.latent import CodedSegment
from progcodec.codec.timing import stage
from progcodec.codec.walk import Reply, Step, Walker
from progcodec.colour import plain
from progcodec.config import Q_MAX
from progcodec.errors import CheckpointError, ImageError
from progcodec.geometry import coded_pixels
from progcodec.image import check_pixels, size_of
from progcodec.network.quality import step_size

Part = TypeVar("Part")
Code: TypeAlias = Callable[[Ints, Ints, Runs, Tables], Part]
"""What becomes of a segment: its coding order, the symbols in that order, and the runs and tables
that code them."""


def payload(order: Ints, symbols: Ints, runs: Runs, tables: Tables) -> bytes:
    return encode_segment(symbols, runs, tables)


def coded_segment(order: Ints, symbols: Ints, runs: Runs, tables: Tables) -> CodedSegment:
    table = np.repeat([index for index, _ in runs], [count for _, count in runs])
    return CodedSegment(order, symbols, table, tables.bits[table, symbols + Q_MAX])


def common_size(images: Sequence[object], max_pixels: int | None) -> tuple[int, int]:
    """The (height, width) that all images share. Raises ImageError if sizes differ, LimitError."""
    sizes = [size_of(image) for image in images]
    for size in sizes:
        check_pixels(coded_pixels(*size), max_pixels)
    if len(set(sizes)) > 1:
        raise ImageError("the images of a batch must have one size")
    return sizes[0]


def code_images(
    walker: Walker, images: Sequence[object], quality: int, code: Code[Part]
) -> list[list[Part]]:
    """What ``code`` makes of each segment of each image, all of one size.

    Raises CheckpointError, ImageError.
    """
    size = step_size(quality)
    images = [plain(image) for image in images]
    with stage("transform"):
        y = passes.analyse(walker.analysis, images, walker.tiling, walker.config, walker.device)
        z = _to_integers(
            passes.hyper_analyse(walker.hyper_analysis, y, walker.tiling) - walker.medians
        )
    parts: list[list[Part]] = [[] for _ in images]
    steps: list[list[tuple[Ints, Ints, Runs]]] = [[] for _ in images]  # of the segment at hand

    def reply(step: Step) -> Reply:
        values = z
        if step.mean is not None:
            with stage("mean path"):
                residual = y[:, step.channels] - step.mean
                values = _to_integers(residual.div_(size))
        for n, own in enumerate(steps):
            order, runs, tables = walker.order(step, n)
            own.append((order + step.done, ordering.gather(values[n], order), runs))
            if step.last:
                orders, symbols, runs = zip(*own, strict=True)
                whole = np.concatenate(orders), np.concatenate(symbols), list(chain(*runs))
                own.clear()
                with stage("range coding"):
                    parts[n].append(code(*whole, tables))
        return values, [True] * len(parts)

    walker.walk(reply, [quality] * len(parts), *y.shape[2:])
    return parts


def _to_integers(x: Tensor) -> Ints:
    """round(x), clamped to the alphabet: int8 on the CPU.

    Raises CheckpointError where a network overflowed.
    """
    if not all(math.isfinite(end) for end in x.aminmax()):
        raise CheckpointError(
            "the model's numbers overflow: its weights are damaged, or were never trained"
        )
    return x.round().clamp_(-Q_MAX, Q_MAX).to(torch.int8).cpu().contiguous().numpy()
