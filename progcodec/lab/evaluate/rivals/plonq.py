"""PLONQ-like: all elements of the latent in one pool, sent by falling σ.

After Lu et al., "Progressive Neural Image Compression with Nested Quantization and Latent Ordering" (2021): the latent
ordering half of it. (Nested quantisation, symbols refined in steps of three, is what ``tritplanes.py`` measures.)

What is decodable: the order mixes blocks, so every σ must be known before the first q. It comes from ẑ alone
(``calibration.py``). μ decides no bit, so it need not be known to decode symbols: the encoder's q is that of our closed loop,
and a decoder computes μ of a block from ẑ and the blocks before it *as received*. While those are incomplete, its μ differs
from the encoder's; what lacks there has a small σ, so little drifts, and nothing once all has arrived. (μ from ẑ alone would
not drift, but the networks were trained to have the context.)

``plonq`` sorts by σ times the channel's gain, ``plonq-plain`` by σ as it is.
"""

import numpy as np

from progcodec.arrays import Ints
from progcodec.lab.evaluate.rivals.calibration import blind_indexes, gain_shifts, priority_order
from progcodec.lab.evaluate.rivals.latent import Scales
from progcodec.lab.evaluate.rivals.scheme import Scheme, Walk, elements, nothing, place


class Plonq(Scheme):
    name = "plonq"

    def walk(self, scales: Scales) -> Walk:
        received = nothing(scales.shape)
        indexes = blind_indexes(scales)
        order = priority_order(indexes, self.shifts(scales))
        place(received, order, (yield elements(order, indexes, scales.tables)))
        return received

    def shifts(self, scales: Scales) -> Ints:
        return gain_shifts(scales.codec)


class PlonqPlain(Plonq):
    name = "plonq-plain"

    def shifts(self, scales: Scales) -> Ints:
        return np.zeros(scales.shape[0], np.int64)
