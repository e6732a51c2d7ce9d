"""The encoder's side of the walk: pictures to the segments of their streams."""

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from progcodec.arrays import Ints
from progcodec.bitstream import ordering
from progcodec.bitstream.rangecoder import Runs, encode_segment
from progcodec.bitstream.tables import Tables
from progcodec.codec import passes
from progcodec.codec.detail import Blocks, less
from progcodec.codec.latent import CodedSegment
from progcodec.codec.timing import stage
from progcodec.codec.walk import Reply, Step, Walker
from progcodec.colour import plain
from progcodec.config import LATENT_STRIDE, Q_MAX, QUALITY_MAX
from progcodec.errors import DetailWarning, ImageError
from progcodec.geometry import Box, check_size
from progcodec.image import size_of
from progcodec.network.quality import step_size

Part = TypeVar("Part")
Code: TypeAlias = Callable[[Ints, Ints, Runs, Tables], tuple[Part, float]]
"""What becomes of a segment, and its bits: from its coding order, the symbols in that order, and
the runs and tables that code them."""

RAW_RATE = 24.0
"""Bits a pixel of an uncoded picture; pixels are those of the padded one."""
SUSPICIOUS_RATE = 1.5
"""Bits a pixel at quality 0 from where on the encoder looks at what would decode; at others, as the
root of how much finer the steps are. Few photographs reach it; a look costs one pass of g_s."""
COARSER = 4
"""By how many qualities at a time symbols are brought back into the alphabet."""
ATTEMPTS = 4
"""At most, beside the first, to code a picture that the model cannot carry as it is."""


class Coded(NamedTuple, Generic[Part]):
    """One image.

    Attributes:
        parts: what became of its four segments.
        quality: that it was coded at: lower than asked for where symbols left the alphabet.
        softened: share of the picture's blocks that were coded with less detail than they have.
    """

    parts: list[Part]
    quality: int
    softened: float = 0.0

    def warning(self, asked: int) -> str:
        """What a person should know who asked for a quality; "" for nothing."""
        told = []
        if self.softened:
            told.append(f"{max(self.softened, 0.01):.0%} of it was smoothed")
        if self.quality != asked:
            told.append(f"it has quality {self.quality}, not {asked}")
        if not told:
            return ""
        return f"the model cannot carry the picture as it is: {', and '.join(told)}"


class Encoded(NamedTuple):
    """A stream, and what a person should know of it; "" for nothing."""

    data: bytes
    warning: str

    def told(self) -> bytes:
        """The stream; warns where there is something to be known."""
        if self.warning:
            warnings.warn(self.warning, DetailWarning, stacklevel=4)
        return self.data


class _Pass(NamedTuple, Generic[Part]):
    """One image after one pass through the networks.

    Attributes:
        bits: of all parts. clamped: whether symbols reach the alphabet's ends.
        y: ŷ, (1, 320, h, w).
    """

    parts: list[Part]
    bits: float
    clamped: bool
    y: Tensor

    @property
    def rate(self) -> float:
        """Bits a pixel."""
        return self.bits / (self.y.shape[2] * self.y.shape[3] * LATENT_STRIDE**2)


def payload(order: Ints, symbols: Ints, runs: Runs, tables: Tables) -> tuple[bytes, float]:
    data = encode_segment(symbols, runs, tables)
    return data, 8.0 * len(data)


def coded_segment(
    order: Ints, symbols: Ints, runs: Runs, tables: Tables
) -> tuple[CodedSegment, float]:
    table = np.repeat([index for index, _ in runs], [count for _, count in runs])
    segment = CodedSegment(order, symbols, table, tables.bits[table, symbols + Q_MAX])
    return segment, float(segment.bits.sum())


def common_size(images: Sequence[object], max_pixels: int | None) -> tuple[int, int]:
    """The (height, width) that all images share. Raises ImageError if sizes differ, LimitError."""
    sizes = [size_of(image) for image in images]
    for size in sizes:
        check_size(*size, max_pixels)
    if len(set(sizes)) > 1:
        raise ImageError("the images of a batch must have one size")
    return sizes[0]


def code_images(
    walker: Walker, images: Sequence[object], quality: int, code: Code[Part]
) -> list[Coded[Part]]:
    """What ``code`` makes of each segment of each image, all of one size.

    An image whose bits or symbols are suspicious is looked at as it would decode, and coded with
    less detail where that does it good. Raises CheckpointError, ImageError.
    """
    images = [plain(image) for image in images]
    usual = SUSPICIOUS_RATE / math.sqrt(step_size(quality))
    return [
        _carried(walker, image, quality, code, first)
        if first.clamped or first.rate > usual
        else Coded(first.parts, quality)
        for image, first in zip(images, _passed(walker, images, quality, code), strict=True)
    ]


def _carried(
    walker: Walker, image: object, quality: int, code: Code[Part], attempt: _Pass[Part]
) -> Coded[Part]:
    """The best attempt: one that is smaller than the raw picture, and of these the closest."""
    blocks = Blocks(image)
    detail = np.ones_like(blocks.spread)
    found = []
    for tries_left in reversed(range(ATTEMPTS + 1)):
        with stage("transform"):
            box = Box(0, 0, *size_of(image))
            (picture,) = passes.synthesise(
                walker.synthesis, attempt.y, box, walker.tiling, walker.config
            )
        errors, too_long = blocks.errors(picture), attempt.rate > RAW_RATE
        coded = Coded(attempt.parts, quality, float(np.mean(detail < 1)))
        found.append((too_long, float(errors.sum()), coded))
        wrong = (blocks.lost(errors) | too_long) & (detail > 0)
        if not tries_left:
            break
        if wrong.any():
            detail = less(detail, wrong)
        elif attempt.clamped and quality > -QUALITY_MAX:
            quality = max(quality - COARSER, -QUALITY_MAX)
        else:
            break
        (attempt,) = _passed(walker, [blocks.with_detail(detail)], quality, code)
    return min(found, key=lambda one: one[:2])[2]


def _passed(
    walker: Walker, images: Sequence[object], quality: int, code: Code[Part]
) -> list[_Pass[Part]]:
    """Each image once through the networks and ``code``."""
    size = step_size(quality)
    with stage("transform"):
        y = passes.analyse(walker.analysis, images, walker.tiling, walker.config, walker.device)
        z = _to_integers(
            passes.hyper_analyse(walker.hyper_analysis, y, walker.tiling) - walker.medians
        )
    parts: list[list[Part]] = [[] for _ in images]
    bits, clamped = [0.0] * len(images), [False] * len(images)
    steps: list[list[tuple[Ints, Ints, Runs]]] = [[] for _ in images]  # of the segment at hand

    def reply(step: Step) -> Reply:
        if step.guess is not None:
            values = step.guess.symbols(z)
        else:
            assert step.mean is not None
            with stage("mean path"):
                residual = y[:, step.channels] - step.mean
                values = _to_integers(residual.div_(size))
        for n, own in enumerate(steps):
            clamped[n] |= bool(max(values[n].max(), -values[n].min()) == Q_MAX)
            order, runs, tables = walker.order(step, n)
            places = order + step.done if step.guess is None else step.guess.places[order]
            own.append((places, ordering.gather(values[n], order), runs))
            if step.last:
                orders, symbols, runs = zip(*own, strict=True)
                whole = np.concatenate(orders), np.concatenate(symbols), list(chain(*runs))
                own.clear()
                with stage("range coding"):
                    part, cost = code(*whole, tables)
                parts[n].append(part)
                bits[n] += cost
        return values, [True] * len(parts)

    y_hat = walker.walk(reply, [quality] * len(parts), *y.shape[2:]).y
    return [_Pass(parts[n], bits[n], clamped[n], y_hat[n : n + 1]) for n in range(len(images))]


def _to_integers(x: Tensor) -> Ints:
    """round(x) in the alphabet, int8 on the CPU. Raises CheckpointError on an overflow."""
    passes.check_finite(x)
    return x.round().clamp_(-Q_MAX, Q_MAX).to(torch.int8).cpu().contiguous().numpy()
