"""Which cuts of a stream are worth a look: the ends of its parts, and sizes that rise by a constant
factor.
"""

from progcodec.bitstream.description import StreamInfo
from progcodec.cut import log_spaced

COUNT = 24
"""Cuts besides the ends of the parts, by default."""
NEAR = 0.4
"""A cut nearer than this part of a step to the end of a part is left out."""


def cuts(description: StreamInfo, count: int = COUNT) -> list[int]:
    """Sizes in bytes, rising, from the header alone to the whole file.

    The end of the header and of every part that is whole are among them; the others rise from a
    quarter of the hyperlatent on, because there is little to see in less.
    """
    first, last = description.header_bytes, description.file_bytes
    ends = {
        first,
        last,
        *(
            segment.end
            for segment in description.segments
            if segment.end is not None and segment.end <= last
        ),
    }
    hyperlatent = description.segments[0].end
    start = max(first + 1, min(last, last if hyperlatent is None else hyperlatent) // 4)
    ratio = (last / start) ** (1 / max(1, count - 1)) if last > start else 1.0
    sizes = log_spaced(start, last, count) if last > first else []
    near = ratio**NEAR
    kept = {
        size
        for size in sizes
        if first < size < last and all(size > near * end or end > near * size for end in ends)
    }
    return sorted(ends | kept)
