"""Between pixels and bytes: the latent of a decoded prefix, and a segment as it is coded."""

from dataclasses import dataclass

from torch import Tensor

from progcodec.arrays import Floats, Ints


@dataclass(frozen=True)
class Latent:
    """A decoded prefix before synthesis.

    Attributes:
        y: ŷ, float32 (1, 320, h, w), on the codec's device: μ + step·q, and q = 0 where nothing
            arrived.
        z: ẑ as integers, int32 (C, hz, wz); what is expected where nothing arrived.
        q: coded integers of all blocks, int32 (320, h, w); 0 where nothing arrived.
        received: symbols that arrived, for each of the four segments.
        total: symbols of each segment.
        width, height: pixels of the image.
        bits: of the payload bytes that arrived and were used, of all segments; header, lengths and
            checksums not counted.
        quality: of the stream; it says what a step of q is worth.
    """

    y: Tensor
    z: Ints
    q: Ints
    received: tuple[int, ...]
    total: tuple[int, ...]
    width: int
    height: int
    bits: int
    quality: int = 0

    def __repr__(self) -> str:
        """``Latent(640x427, 480 + 1,234 of 4,320 + 0 of 8,640 + … symbols, 2,310 bits)``."""
        parts = (
            f"{got:,}" if got == all_ else f"{got:,} of {all_:,}"
            for got, all_ in zip(self.received, self.total, strict=True)
        )
        return (
            f"Latent({self.width}x{self.height}, {' + '.join(parts)} symbols, {self.bits:,} bits)"
        )


@dataclass(frozen=True)
class CodedSegment:
    """One segment of one image as it is coded.

    Attributes:
        order: flat positions in the segment's (C, h, w), int64, in coding order.
        symbols: the integers that are coded for these positions, int32.
        tables: which table codes each, int64.
        bits: what each costs, float64, by the tables' probabilities.
    """

    order: Ints
    symbols: Ints
    tables: Ints
    bits: Floats
