"""Where the bytes of a stream lie, and how far it goes: what ``info`` tells, from the container alone."""

from dataclasses import dataclass

from progcodec.bitstream.container import SEGMENT_NAMES, parse
from progcodec.markup import table


@dataclass(frozen=True)
class SegmentInfo:
    """What :func:`describe` says of a segment; an offset is None while no byte before it tells it.

    ``received`` counts the bytes of the segment that are there, length and checksum included.
    """

    name: str
    start: int | None
    end: int | None
    received: int
    complete: bool
    verified: bool

    @property
    def state(self) -> str:
        """In words: "absent", "cut", "whole", or "whole, checked" once its checksum is there and right."""
        if not self.complete:
            return "cut" if self.received else "absent"
        return "whole, checked" if self.verified else "whole"


@dataclass(frozen=True)
class StreamInfo:
    """Summary of a file; ``fingerprint`` in hexadecimal, one entry in ``segments`` for each of ``SEGMENT_NAMES``."""

    file_bytes: int
    header_bytes: int
    width: int
    height: int
    checksums: bool
    quality: int
    fingerprint: str
    bits_per_pixel: float
    segments: tuple[SegmentInfo, ...]

    def _repr_html_(self) -> str:
        size = f"{self.width} × {self.height} pixels, {self.file_bytes:,} bytes, {self.bits_per_pixel:.3f} bits per pixel"
        rows = [
            (part.name, part.start, part.end, part.received, part.state) for part in self.segments
        ]
        return table(
            f"{size}, quality {self.quality:+d}, model {self.fingerprint}",
            ("part", "from", "to", "received", ""),
            rows,
        )


def describe(data: bytes) -> StreamInfo:
    """How far a file goes. Raises as :func:`parse`, without a pixel limit."""
    stream = parse(data, max_pixels=None)
    infos: list[SegmentInfo] = []
    start: int | None = stream.header_size
    for index, name in enumerate(SEGMENT_NAMES):
        segment = stream.segments[index] if index < len(stream.segments) else None
        end = segment.end if segment else None
        there = 0 if start is None else max(0, min(stream.size, end or stream.size) - start)
        state = (segment.complete, segment.verified) if segment else (False, False)
        infos.append(SegmentInfo(name, start, end, there, *state))
        start = end
    h = stream.header
    sizes = len(data), stream.header_size, h.width, h.height
    return StreamInfo(
        *sizes, h.checksums, h.quality, h.fingerprint.hex(), 8 * len(data) / h.pixels, tuple(infos)
    )
