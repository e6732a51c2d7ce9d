"""One segment, read at once, and what its symbols cost."""

import math
from typing import NamedTuple

from progcodec.arrays import Ints, Symbols
from progcodec.bitstream import rangecoder
from progcodec.bitstream.rangecoder import Runs, SegmentReader
from progcodec.bitstream.tables import Tables


class DecodedSegment(NamedTuple):
    """The certain symbols of a segment, int32, the first of ``total`` in coding order."""

    symbols: Symbols
    total: int

    @property
    def complete(self) -> bool:
        return len(self.symbols) == self.total


def decode_segment(payload: bytes, declared: int, runs: Runs, tables: Tables) -> DecodedSegment:
    """The symbols of a payload; of a cut one, those that every continuation agrees on.

    Args, errors: of :class:`SegmentReader`; ``runs`` are those of all symbols.
    """
    reader = SegmentReader(declared, sum(count for _, count in runs), tables)
    reader.add(runs)
    return DecodedSegment(reader.extend(payload), reader.total)


def coded_bits(symbols: Ints, runs: Runs, tables: Tables) -> float:
    """Bits that the coder has spent once the first ``len(symbols)`` symbols of the runs are coded:
    minus the binary logarithm of the width of their interval. For a cut after n bytes, n less this
    over 8 is what the cut leaves unused.
    """
    settled, (_, width) = rangecoder._encode(symbols, runs, tables).pos()
    return float(8.0 * rangecoder.WORD * (settled + 2) - math.log2(width))
