"""EfficientPIC-like: a base, then quality steps, each with the elements of the rest of which σ is above a quantile.

After Presta et al., "Efficient Progressive Image Compression with Variance-aware Masking" (2024): a base representation is
sent whole, a top one in complementary steps that a mask on σ picks; what is not sent is replaced by the predicted mean, and
already decoded steps refine the entropy parameters of later ones (their Rate Enhancement Modules).

Here the base is the coarse block. The rest, both finer blocks in one pool, goes in ``SHARES``. σ of a step comes from the scale
path with its Δ-networks, given the symbols of all *earlier steps* and what those not sent yet are expected to be: what the
refinement modules do, without training, corrected for each step and channel (``calibration.py``). Both sides hold these integers, so every mask is known.
σ is weighted with the channel's gain, as for ``plonq``.
Inside a step elements are sorted by σ too, so that a step that is cut shows its best part; a codec with whole steps has none.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from progcodec.arrays import Ints
from progcodec.bitstream.ordering import coding_order
from progcodec.lab.evaluate.rivals.calibration import (
    cheapest_maps,
    example,
    foreseen,
    gain_shifts,
    mapped,
    priority_order,
)
from progcodec.lab.evaluate.rivals.latent import Scales
from progcodec.lab.evaluate.rivals.scheme import Received, Scheme, Walk, elements, nothing, place

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of all elements behind the base, those that have been sent after each step."""


class EfficientPic(Scheme):
    name = "efficientpic"

    def walk(self, scales: Scales) -> Walk:
        received = nothing(scales.shape)
        indexes = scales.base()
        order = base_order(scales, indexes)
        if not place(received, order, (yield elements(order, indexes, scales.tables))):
            return received
        for share, maps in zip(SHARES, step_maps(scales.codec), strict=True):
            indexes = mapped(foreseen(scales, received), maps)
            order = step_order(scales, indexes, received, share)
            if not place(received, order, (yield elements(order, indexes, scales.tables))):
                break
        return received


def base_order(scales: Scales, indexes: Ints) -> Ints:
    """Flat positions of the coarse block, by falling σ."""
    return coding_order(indexes[: scales.offsets[1]])


def step_order(scales: Scales, indexes: Ints, received: Received, share: float) -> Ints:
    """Flat positions of a step, by falling priority: as many not sent yet as make ``share`` of all behind the base."""
    order = priority_order(indexes, gain_shifts(scales.codec))
    order = order[~received.there.reshape(-1)[order]]
    total = indexes[scales.offsets[1] :].size
    return order[: round(share * total) - (total - len(order))]


@lru_cache(maxsize=4)
def step_maps(codec: "Codec") -> tuple[Ints, ...]:
    """For each step the maps of σ-indices, uint8 (C, 64), that are best for what the photograph then has left."""
    source, scales = example(codec)
    received = nothing(scales.shape)
    order = base_order(scales, scales.base())
    place(received, order, source.q.reshape(-1)[order])
    found = []
    for share in SHARES:
        indexes = foreseen(scales, received)
        found.append(cheapest_maps(indexes, source.q, ~received.there, scales.tables))
        order = step_order(scales, mapped(indexes, found[-1]), received, share)
        place(received, order, source.q.reshape(-1)[order])
    return tuple(found)
