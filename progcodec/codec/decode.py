"""The decoder's side of the walk: parsed streams to integers and ŷ."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from progcodec.bitstream import ordering
from progcodec.bitstream.container import SEGMENT_NAMES, Stream
from progcodec.bitstream.rangecoder import SegmentReader
from progcodec.codec.latent import Latent
from progcodec.codec.timing import stage
from progcodec.codec.walk import Reply, Step, Walked, Walker
from progcodec.geometry import Box, latent_size


class Decoded(NamedTuple):
    """What the streams of a batch, all of one size, hold.

    Attributes:
        walked: ŷ and the integers.
        counts: symbols of each segment that arrived, for each stream.
        totals: symbols of each segment.
        bits: of the payload bytes that arrived, for each stream.
    """

    walked: Walked
    counts: list[list[int]]
    totals: list[int]
    bits: list[int]

    def latents(self, streams: Sequence[Stream]) -> list[Latent]:
        """One latent for each of these streams."""
        (y, z, q), totals = self.walked, tuple(self.totals)
        found = []
        for n, header in enumerate(stream.header for stream in streams):
            integers = z[n].astype(np.int32), q[n].astype(np.int32)
            size = header.width, header.height
            counts = tuple(self.counts[n])
            found.append(
                Latent(y[n : n + 1], *integers, counts, totals, *size, self.bits[n], header.quality)
            )
        return found


def decode_streams(walker: Walker, streams: Sequence[Stream], box: Box | None = None) -> Decoded:
    """All symbols of the streams, and ŷ (``box``: as :meth:`Walker.steps`). Raises CorruptError."""
    headers = [stream.header for stream in streams]
    height, width = latent_size(headers[0].height, headers[0].width)
    counts = [[0] * len(SEGMENT_NAMES) for _ in streams]
    totals = [0] * len(SEGMENT_NAMES)
    bits = [0] * len(streams)
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
        return values, complete

    walked = walker.walk(reply, [header.quality for header in headers], height, width, box)
    return Decoded(walked, counts, totals, bits)
