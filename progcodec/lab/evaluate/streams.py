"""Streams of which any first bytes decode: our own files, and the same integers in other orders.

                            ┌─ our file       falling priority in each block, checksums
    picture ─► q, the same ─┼─ sigma          falling σ, whatever the channel
               for all      ├─ raster         channel by channel, row by row in each block
                            ├─ tritplanes     ternary digits in each block, falling in significance
                            └─ zero-masking   our order; ŷ is 0, not μ, where nothing arrived

All of them code the very same integers with the same networks and tables, so what differs at equal
bytes is the order alone. The other orders are no files: a symbol arrives with the byte in which its
bits end, −log2 of the tables' probabilities, behind the header and the segments' lengths (no
checksums). Our own files are longer than that by less than a byte for each segment.

Trit-planes are those of DPICT (Lee et al. 2022), a block at a time: q = t₅·3⁵ + … + t₀ with digits
-1, 0, 1. Digits go by planes, and in a plane by expected distortion saved per expected bit, which
depends on an element's σ-index and the digits that it has. What has not arrived whole stands for
its rounded expectation.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image

from progcodec.arrays import Floats, Ints, Pixels
from progcodec.bitstream.container import SEGMENT_NAMES, parse, parse_header
from progcodec.codec.codec import Codec
from progcodec.codec.latent import CodedSegment
from progcodec.config import Q_MAX
from progcodec.cut import log_spaced
from progcodec.errors import BudgetError, NotShcError, ProgcodecError

BATCH = 4
"""Prefixes that share a pass through the networks."""
ORDERINGS = ("sigma", "raster", "tritplanes", "zero-masking")
PLANES = 6


class Stream(Protocol):
    """One picture as an embedded stream.

    Attributes:
        size: bytes of the whole. ends: bytes to the end of each segment, by name.
    """

    size: int
    ends: dict[str, int]

    def pictures(self, sizes: Sequence[int]) -> list[Image.Image | None]:
        """What prefixes decode to; None where one is too short even for a header."""
        ...


def open_stream(ordering: str | None, codec: Codec, pixels: Pixels, quality: int = 0) -> Stream:
    """A picture in our own order (None), or another. Raises ProgcodecError on an unknown one."""
    if ordering is None:
        return _Ours(codec, codec.encode(pixels, quality=quality))
    if ordering not in ORDERINGS:
        known = ", ".join(ORDERINGS)
        raise ProgcodecError(f"unknown ordering {ordering!r}; there are: {known}")
    return _Ordered(ordering, codec, pixels)


def segment_ends(data: bytes) -> dict[str, int]:
    """Bytes to the end of each segment of a whole file."""
    return dict(zip(SEGMENT_NAMES, (part.end for part in parse(data, None).segments), strict=True))


def cut_sizes(stream: Stream, count: int = 10) -> list[int]:
    """Prefix lengths, evenly spaced in log-bytes from the hyperlatent's end to the whole."""
    sizes = log_spaced(stream.ends[SEGMENT_NAMES[0]], stream.size, count)
    return sizes + [stream.size] * (count - len(sizes))  # a very small stream has fewer


class _Ours:
    """The file that users get, checksums included."""

    def __init__(self, codec: Codec, data: bytes) -> None:
        self._codec, self._data = codec, data
        self.size, self.ends = len(data), segment_ends(data)

    def pictures(self, sizes: Sequence[int]) -> list[Image.Image | None]:
        found: dict[int, Image.Image | None] = {
            size: None for size in sizes if not self._tells(size)
        }
        longer = [size for size in dict.fromkeys(sizes) if size not in found]
        for start in range(0, len(longer), BATCH):
            batch = longer[start : start + BATCH]
            decoded = self._codec.decode_batch([self._data[:size] for size in batch])
            found |= dict(zip(batch, decoded, strict=True))
        return [found[size] for size in sizes]

    def _tells(self, size: int) -> bool:
        try:
            parse_header(self._data[:size], None)
        except (NotShcError, BudgetError):
            return False
        return True


class _Pass(NamedTuple):
    """What arrives, one after the other: at which byte, where in q, and what q̂ is then."""

    arrives: Floats
    places: Ints
    values: Ints


class _Ordered:
    def __init__(self, ordering: str, codec: Codec, pixels: Pixels) -> None:
        data = codec.encode(pixels, checksums=False)
        stream = parse(data, None)
        self._codec, self._masked = codec, ordering == "zero-masking"
        self._header = stream.header_size
        self.size, self.ends = len(data), segment_ends(data)
        self._whole = codec.decode_latent(data)
        (coded,) = codec.coded_segments([pixels])
        parts = [
            _Part(codec, segment.payload_start, segment.end, one, blocks)
            for segment, one, blocks in zip(stream.segments, coded, self._blocks(), strict=True)
        ]
        (self._hyper,) = _as_sent(parts[0])
        self._passes: list[_Pass] = []
        offset = 0
        for part in parts[1:]:
            found = _PASSES[ordering](part)
            self._passes += [one._replace(places=one.places + offset) for one in found]
            offset += len(part.coded.order)

    def _blocks(self) -> list[tuple[int, ...]]:
        """Symbols of each block of each segment."""
        config, area = self._codec.config, self._whole.q[0].size
        sizes = iter([area * channels for channels in config.blocks])
        return [(self._whole.z.size,), *(tuple(islice(sizes, n)) for n in config.steps)]

    def pictures(self, sizes: Sequence[int]) -> list[Image.Image | None]:
        return [self._picture(size) if size >= self._header else None for size in sizes]

    def _picture(self, size: int) -> Image.Image:
        z, q = np.zeros_like(self._whole.z), np.zeros_like(self._whole.q)
        there = np.zeros(q.shape, bool)
        _fill(z, self._hyper, size)
        z = self._codec.walker.hyper.restored(z[None])[0]
        for part in self._passes:
            count = _fill(q, part, size)
            there.reshape(-1)[part.places[:count]] = True
        y = self._codec.assemble(z[None], q[None], self._whole.quality)
        if self._masked:
            y = y * torch.from_numpy(there)[None].to(y.device)
        return self._codec.synthesise([replace(self._whole, y=y)])[0]


class _Part(NamedTuple):
    """A segment as it is coded.

    Attributes:
        start, end: bytes between which its payload lies.
        blocks: symbols of each of its blocks, which follow each other in its coding order.
    """

    codec: Codec
    start: float
    end: float
    coded: CodedSegment
    blocks: tuple[int, ...]

    def arriving(self, start: float, bits: Floats, places: Ints, values: Ints) -> _Pass:
        # a payload may happen to be shorter than its bits by a part of a byte
        return _Pass(np.minimum(start + np.cumsum(bits) / 8, self.end), places, values)

    def turned(self, turn: Ints) -> _Pass:
        """All of it, in another order."""
        coded = self.coded
        return self.arriving(self.start, coded.bits[turn], coded.order[turn], coded.symbols[turn])


def _fill(target: Ints, part: _Pass, size: int) -> int:
    """Puts what has arrived into its place. How many values that is."""
    count = int(np.searchsorted(part.arrives, size + 1e-6, "right"))
    target.reshape(-1)[part.places[:count]] = part.values[:count]
    return count


def _as_sent(part: _Part) -> list[_Pass]:
    return [part.turned(np.arange(len(part.coded.order)))]


def _sigma(part: _Part) -> list[_Pass]:
    blocks = np.repeat(np.arange(len(part.blocks)), part.blocks)
    return [part.turned(np.lexsort((part.coded.order, -part.coded.tables, blocks)))]


def _raster(part: _Part) -> list[_Pass]:
    return [part.turned(np.argsort(part.coded.order))]


def _tritplanes(part: _Part) -> list[_Pass]:
    found: list[_Pass] = []
    start, end = part.start, 0
    for size in part.blocks:
        block, end = slice(end, end + size), end + size
        places, tables = part.coded.order[block], part.coded.tables[block]
        q, known = part.coded.symbols[block].astype(np.int64), np.zeros(size, np.int64)
        for plane, finer in pairwise([*_planes(part.codec), None]):
            assert plane is not None
            context = plane.context(tables, known)
            order = np.lexsort((context, -plane.priority[context]))
            digits = ((q + plane.unit // 2) // plane.unit + 1) % 3 - 1
            bits = plane.bits[context, digits + 1][order]
            known = known + digits * plane.unit
            values = known if finer is None else finer.mean[finer.context(tables, known)]
            found.append(part.arriving(start, bits, places[order], values[order]))
            start += float(bits.sum()) / 8
    return found


_PASSES = {"sigma": _sigma, "raster": _raster, "tritplanes": _tritplanes, "zero-masking": _as_sent}


class _Plane(NamedTuple):
    """One plane of a checkpoint's trits.

    What is known of an element before it is a *node*: a multiple of 3·unit, and the interval of
        values around it. A context is
    a σ-index and a node, counted in units of 3·unit from -reach to reach.

    Attributes:
        unit: what a digit is worth. reach: the largest node.
        bits: of the digits -1, 0, 1 in each context, (T, 3). priority: distortion saved per bit,
            (T,).
        mean: expectation of q, rounded, (T,).
    """

    unit: int
    reach: int
    bits: Floats
    priority: Floats
    mean: Ints

    def context(self, indexes: Ints, known: Ints) -> Ints:
        nodes = known // (3 * self.unit) + self.reach
        found: Ints = indexes.astype(np.int64) * (2 * self.reach + 1) + nodes
        return found


@lru_cache(maxsize=4)
def _planes(codec: Codec) -> tuple[_Plane, ...]:
    """The most significant first."""
    counts = codec.walker.tables.frequencies.astype(np.int64)
    return tuple(_plane(counts, 3**n) for n in reversed(range(PLANES)))


def _plane(frequencies: Ints, unit: int) -> _Plane:
    reach = (Q_MAX + 3 * unit // 2) // (3 * unit)
    # thirds of every node, left to right, are the intervals of `unit` values around the multiples
    # of `unit`
    edges = np.arange(-3 * reach - 1, 3 * reach + 3) * unit - unit // 2
    values = np.arange(-Q_MAX, Q_MAX + 1)

    def thirds(weights: Ints) -> Ints:
        """Sums of (64, 255) over the thirds of each node: (64 · nodes, 3)."""
        before = np.pad(weights.cumsum(1), ((0, 0), (1, 0)))
        places = np.clip(edges + Q_MAX, 0, len(values))
        return np.diff(before[:, places], axis=1).reshape(-1, 3)

    counts, first = thirds(frequencies), thirds(frequencies * values)
    total = counts.sum(1)
    share = counts / total[:, None]
    bits = -np.log2(np.maximum(share, 2.0**-24))
    mean = first.sum(1) / total
    # what the variance around the node's mean falls by when the mean of one of its thirds is known
    saved = (share * np.square(first / np.maximum(counts, 1) - mean[:, None])).sum(1)
    priority = saved / np.maximum((share * bits).sum(1), 1e-9)
    return _Plane(unit, reach, bits, priority, np.rint(mean).astype(np.int64))
