"""Ours through the same door, and three ablations of it.

``progcodec`` writes byte for byte the ``.shc`` stream without checksums. ``zero-masking`` writes the same and decodes it as
the paper does: ŷ is 0, not μ, where no symbol has arrived. ``raster`` has our blocks, but not our order in them:
channel by channel, row by row. ``weighted`` has our blocks, and in them the order of ``plonq``: σ times the channel's gain.
"""

import numpy as np

from progcodec.arrays import Flags, Ints
from progcodec.bitstream.ordering import coding_order
from progcodec.lab.evaluate.rivals.calibration import gain_shifts, priority_order
from progcodec.lab.evaluate.rivals.latent import Scales
from progcodec.lab.evaluate.rivals.scheme import Received, Scheme, Walk, elements, nothing, place


class Progcodec(Scheme):
    name = "progcodec"

    def walk(self, scales: Scales) -> Walk:
        received = nothing(scales.shape)
        size = scales.shape[1] * scales.shape[2]
        for k, start in enumerate(scales.offsets[:-1]):
            indexes = np.zeros(scales.shape, np.uint8)
            earlier = received.q[:start].astype(np.int32) if k else None
            indexes[start : scales.offsets[k + 1]] = scales.block(k, earlier)
            order = start * size + self.order(scales, indexes[start : scales.offsets[k + 1]], start)
            if not place(received, order, (yield elements(order, indexes, scales.tables))):
                break
        return received

    def order(self, scales: Scales, indexes: Ints, start: int) -> Ints:
        """Flat positions of a block's elements in coding order; ``start`` is its first channel."""
        return coding_order(indexes)


class ZeroMasking(Progcodec):
    name = "zero-masking"

    def kept(self, received: Received) -> Flags | None:
        return received.there


class Raster(Progcodec):
    name = "raster"

    def order(self, scales: Scales, indexes: Ints, start: int) -> Ints:
        return np.arange(indexes.size)


class Weighted(Progcodec):
    name = "weighted"

    def order(self, scales: Scales, indexes: Ints, start: int) -> Ints:
        return priority_order(indexes, gain_shifts(scales.codec)[start : start + len(indexes)])
