"""The decoder's side of the walk: parsed streams to symbols and ŷ."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from progcodec.arrays import Ints
from progcodec.bitstream import ordering
from progcodec.bitstream.container import SEGMENT_NAMES, Stream
from progcodec.bitstream.rangecoder import SegmentReader
from progcodec.codec.latent import Latent
from progcodec.codec.timing import stage
from progcodec.codec.walk import Reply, Step, Walker
from progcodec.geometry import Box, hyper_size, latent_size


class Decoded(NamedTuple):
    """What the streams of a batch, all of one size, hold.

    Attributes:
        y: ŷ, float32 (N, 320, h, w), or of a box of it; q = 0 where nothing arrived.
        z, q: integers of all steps, int8 (N, C, h, w) each; q is 0 where nothing arrived.
        counts: symbols of each segment that arrived, for each stream.
        totals: symbols of each segment.
        bits: of the payload bytes that arrived, for each stream.
    """

    y: Tensor
    z: Ints
    q: Ints
    counts: list[list[int]]
    totals: list[int]
    bits: list[int]

    def latents(self, streams: Sequence[Stream]) -> list[Latent]:
        """One latent for each of these streams."""
        totals = tuple(self.totals)
        found = []
        for n, header in enumerate(stream.header for stream in streams):
            z, q = self.z[n].astype(np.int32), self.q[n].astype(np.int32)
            size = header.width, header.height
            counts = tuple(self.counts[n])
            found.append(
                Latent(self.y[n : n + 1], z, q, counts, totals, *size, self.bits[n], header.quality)
            )
        return found


def decode_streams(walker: Walker, streams: Sequence[Stream], box: Box | None = None) -> Decoded:
    """All symbols of the streams, and ŷ (``box``: as :meth:`Walker.steps`). Raises CorruptError."""
    headers = [stream.header for stream in streams]
    height, width = latent_size(headers[0].height, headers[0].width)
    counts = [[0] * len(SEGMENT_NAMES) for _ in streams]
    totals = [0] * len(SEGMENT_NAMES)
    bits = [0] * len(streams)
    config = walker.config
    z = np.zeros((len(streams), config.hyper_channels, *hyper_size(height, width)), np.int8)
    q = np.zeros((len(streams), config.latent_channels, height, width), np.int8)
    readers: dict[tuple[int, int], SegmentReader] = {}

    def reply(step: Step) -> Reply:
        values = np.zeros((len(streams), *step.shape), np.int8)
        complete = [False] * len(streams)
        totals[step.segment] = step.total
        for position, n in enumerate(step.items):
            if step.segment >= len(streams[n].segments):
                continue
            segment = streams[n].segments[step.segment]
            order, runs, tables = walker.order(step, position)
            if step.done == 0:
                readers[n, step.segment] = SegmentReader(segment.declared, step.total, tables)
                bits[n] += 8 * len(segment.payload)
            reader = readers[n, step.segment]
            with stage("range coding"):
                reader.add(runs)
                ordering.place(reader.extend(segment.payload), order, values[n])
            counts[n][step.segment] = reader.count
            complete[n] = reader.count == reader.due
        if step.guess is None:
            q[:, step.channels] = values
        else:
            step.guess.put(z, values)
        return values, complete

    y = walker.walk(reply, [header.quality for header in headers], height, width, box)
    return Decoded(y, z, q, counts, totals, bits)
