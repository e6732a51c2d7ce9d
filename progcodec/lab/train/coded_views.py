"""Views as the codec codes them, kept so that the latent of any prefix can be formed again without an encoder.

Of each view the cache holds the symbols that are not 0, in coding order, each with its place and with the bits that have
been spent once it has arrived. So a prefix of so many bits is a prefix of that list; all else is 0, as in a decoder.
"""

import bisect
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from progcodec.arrays import Floats, Ints
from progcodec.codec.codec import Codec
from progcodec.codec.latent import CodedSegment
from progcodec.config import HYPER_STRIDE, LATENT_STRIDE
from progcodec.geometry import ceil_div
from progcodec.lab.train.caching import Arrays, Worker, fill
from progcodec.lab.train.views import Source, ViewSet, render

BATCH = 32
SEGMENTS = 4
SHARE_WHOLE, SHARE_LEVEL = 0.1, 0.15
"""Shares of the cuts that are the whole stream, and that end with a level (or with ẑ alone)."""
START = 0.25
"""Random cuts begin with this share of ẑ's bits."""


class CodedView(NamedTuple):
    """One view.

    Attributes:
        places: int32, flat positions of the non-zero symbols: first those in ẑ, then, from ``hyper`` on, those in q.
        values: int8.
        arrival: float32, bits that have been spent once each has arrived; rising.
        hyper: how many of them lie in ẑ.
        ends: float32 (4,), bits at the end of each segment.
        side: pixels a side.
    """

    places: Ints
    values: Ints
    arrival: Floats
    hyper: int
    ends: Floats
    side: int

    @property
    def size(self) -> int:
        """Latent positions a side."""
        return ceil_div(self.side, LATENT_STRIDE)


def code_views(
    views: ViewSet, chunks: Sequence[int], codec: Codec, model: str, cache: Path, workers: int
) -> list[Path]:
    """Files of the coded views, one for each chunk; :func:`unpack` reads their arrays. ``model`` is the codec's file."""
    folder = cache / f"coded-{codec.fingerprint.hex()}-{views.key}"
    return fill(folder, views.sources, chunks, _worker, (model,), workers, "codec")


def _worker(model: str) -> Worker:
    codec = Codec.load(model, "cpu")

    def work(sources: list[Source]) -> Arrays:
        coded = []
        for start in range(0, len(sources), BATCH):
            pictures = [render(data, view) for data, view in sources[start : start + BATCH]]
            coded += [
                pack(trace, picture.width)
                for trace, picture in zip(codec.coded_segments(pictures), pictures, strict=True)
            ]
        return {
            "places": np.concatenate([view.places for view in coded]),
            "values": np.concatenate([view.values for view in coded]),
            "arrival": np.concatenate([view.arrival for view in coded]),
            "counts": np.array([len(view.places) for view in coded], np.int64),
            "hyper": np.array([view.hyper for view in coded], np.int64),
            "ends": np.stack([view.ends for view in coded]),
            "side": np.array(coded[0].side),
        }

    return work


def pack(trace: Sequence[CodedSegment], side: int) -> CodedView:
    """A coded view of what :meth:`Codec.trace` gives for a square picture."""
    places, values, arrival, ends = [], [], [], []
    spent, offset, hyper = 0.0, 0, 0
    for number, part in enumerate(trace):
        there = np.flatnonzero(part.symbols)
        places.append(part.order[there] + offset)
        values.append(part.symbols[there])
        arrival.append(spent + np.cumsum(part.bits)[there])
        spent += float(part.bits.sum())
        ends.append(spent)
        if number == 0:
            hyper = len(there)
        else:
            offset += len(part.order)  # blocks follow one another in q
    return CodedView(
        np.concatenate(places).astype(np.int32), np.concatenate(values).astype(np.int8),
        np.concatenate(arrival).astype(np.float32), hyper, np.array(ends, np.float32), side,
    )  # fmt: skip


def unpack(arrays: Arrays) -> list[CodedView]:
    """The coded views of one chunk."""
    bounds = np.concatenate(([0], np.cumsum(arrays["counts"])))
    side = int(arrays["side"])
    return [
        CodedView(
            arrays["places"][bounds[n] : bounds[n + 1]], arrays["values"][bounds[n] : bounds[n + 1]],
            arrays["arrival"][bounds[n] : bounds[n + 1]], int(arrays["hyper"][n]), arrays["ends"][n], side,
        )
        for n in range(len(bounds) - 1)
    ]  # fmt: skip


def draw_cut(view: CodedView, rng: np.random.Generator) -> float:
    """Bits of a random prefix: mostly log-uniform from a quarter of ẑ to everything, some whole, some ending with a level."""
    kind = rng.random()
    if kind < SHARE_WHOLE:
        return float(view.ends[-1])
    if kind < SHARE_WHOLE + SHARE_LEVEL:
        return float(view.ends[rng.integers(SEGMENTS - 1)])
    low, high = np.log(START * view.ends[0] + 1), np.log(view.ends[-1] + 1)
    return float(np.exp(rng.uniform(low, high)))


def cut_views(
    views: Sequence[CodedView], budgets: Sequence[float], channels: int, hyper: int
) -> tuple[Ints, Ints]:
    """ẑ (N, hyper, hz, wz) and q (N, channels, h, w), int32, of the prefixes of so many bits. All views of one size."""
    size = views[0].size
    hyper_size = ceil_div(size, HYPER_STRIDE)
    z = np.zeros((len(views), hyper * hyper_size**2), np.int32)
    q = np.zeros((len(views), channels * size**2), np.int32)
    for n, (view, budget) in enumerate(zip(views, budgets, strict=True)):
        received = bisect.bisect_right(view.arrival, budget)
        first = min(view.hyper, received)
        z[n, view.places[:first]] = view.values[:first]
        q[n, view.places[first:received]] = view.values[first:received]
    return z.reshape(-1, hyper, hyper_size, hyper_size), q.reshape(-1, channels, size, size)


def latents(
    codec: Codec, views: Sequence[CodedView], budgets: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """ŷ (N, C, h, w) float32 of the prefixes, and their bits per latent position (N,)."""
    z, q = cut_views(views, budgets, codec.config.latent_channels, codec.config.hyper_channels)
    bits = torch.tensor(
        [float(budget) / view.size**2 for view, budget in zip(views, budgets, strict=True)]
    )
    return codec.assemble(z, q), bits
