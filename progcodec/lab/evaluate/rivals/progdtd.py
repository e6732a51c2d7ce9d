"""ProgDTD-like: whole channels, the most useful first; a shorter stream has fewer of them.

After Hojjat et al., "ProgDTD: Progressive Learned Image Compression with Double-Tail-Drop Training" (2023), which trains with
dropped tails so that the channels sort themselves. Here the order is the checkpoint's own where it has one (its blocks, which
were trained as prefixes), and inside a block by the distortion
that a channel's symbols save per bit, measured on a photograph. So σ may come from the
whole earlier blocks, as in our streams. The hyperlatent, whose tail ProgDTD drops too, is sent whole: without it nothing
of ours decodes. Inside a channel symbols are sorted by σ; for whole channels that changes nothing.
"""

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from progcodec.arrays import Ints
from progcodec.bitstream.ordering import coding_order
from progcodec.config import Q_MAX
from progcodec.lab.evaluate.rivals.calibration import example, gains
from progcodec.lab.evaluate.rivals.latent import Scales
from progcodec.lab.evaluate.rivals.scheme import Scheme, Walk, elements, nothing, place

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec


class ProgDtd(Scheme):
    name = "progdtd"

    def walk(self, scales: Scales) -> Walk:
        received = nothing(scales.shape)
        size = scales.shape[1] * scales.shape[2]
        ranks = channel_order(scales.codec)
        for k, start in enumerate(scales.offsets[:-1]):
            indexes = np.zeros(scales.shape, np.uint8)
            earlier = received.q[:start].astype(np.int32) if k else None
            indexes[start : scales.offsets[k + 1]] = scales.block(k, earlier)
            order = np.concatenate(
                [channel * size + coding_order(indexes[channel]) for channel in ranks[k]]
            )
            if not place(received, order, (yield elements(order, indexes, scales.tables))):
                break
        return received


@lru_cache(maxsize=4)
def channel_order(codec: "Codec") -> tuple[Ints, ...]:
    """Channels of each block by falling usefulness: squared symbols times the channel's gain, per bit."""
    source, scales = example(codec)
    bits = scales.tables.bits[scales.given(source.q), source.q + Q_MAX].sum((1, 2))
    useful = gains(codec) * np.square(source.q, dtype=np.float64).sum((1, 2)) / bits
    offsets = scales.offsets
    blocks = [np.arange(start, end) for start, end in pairwise(offsets)]
    return tuple(block[np.argsort(-useful[block], kind="stable")] for block in blocks)
