"""Where the bytes of a stream lie, and how far it goes, from the container alone."""

from dataclasses import dataclass

from progcodec.bitstream.container import SEGMENT_NAMES, parse
from progcodec.markup import table


@dataclass(frozen=True)
class SegmentInfo:
    """Of a segment; offsets are None while unknown, ``received`` counts all of its bytes there."""

    name: str
    start: int | None
    end: int | None
    received: int
    complete: bool
    verified: bool

    @property
    def state(self) -> str:
        """In words: "absent", "cut", "whole", or "whole, checked" by a checksum that is right."""
        if not self.complete:
            return "cut" if self.received else "absent"
        return "whole, checked" if self.verified else "whole"


@dataclass(frozen=True)
class StreamInfo:
    """Summary of a file; ``fingerprint`` in hexadecimal, ``segments`` as SEGMENT_NAMES."""

    file_bytes: int
    header_bytes: int
    width: int
    height: int
    checksums: bool
    quality: int
    fingerprint: str
    bits_per_pixel: float
    segments: tuple[SegmentInfo, ...]

    @property
    def reached(self) -> str:
        """How far the stream goes, in words: ``"coarse + 37% of intermediate"``, ``"header"``."""
        parts: list[str] = []
        for segment in self.segments:
            if segment.complete:
                parts = [segment.name]
            elif segment.received:
                start, end, share = segment.start, segment.end, "the start"
                if start is not None and end is not None:
                    share = f"{100 * segment.received // (end - start)}%"
                parts.append(f"{share} of {segment.name}")
        return " + ".join(parts) or "header"

    def to_dict(self) -> dict[str, object]:
        """One flat row, the same columns for every stream; None where it is cut before."""
        row: dict[str, object] = {
            "bytes": self.file_bytes,
            "width": self.width,
            "height": self.height,
            "bits_per_pixel": round(self.bits_per_pixel, 6),
            "reached": self.reached,
            "model": self.fingerprint,
            "checksums": self.checksums,
            "quality": self.quality,
            "header_bytes": self.header_bytes,
        }
        for part in self.segments:
            for name in ("end", "received", "complete", "verified"):
                row[f"{part.name}_{name}"] = getattr(part, name)
        return row

    def _repr_html_(self) -> str:
        size = f"{self.width} × {self.height} pixels, {self.file_bytes:,} bytes"
        rate = f"{self.bits_per_pixel:.3f} bits per pixel, quality {self.quality:+d}"
        rows = [(own.name, own.start, own.end, own.received, own.state) for own in self.segments]
        caption = f"{size}, {rate}, model {self.fingerprint}"
        return table(caption, ("part", "from", "to", "received", ""), rows)


def info(data: bytes) -> StreamInfo:
    """What a stream is, and how far it goes. Raises what :func:`parse_header` does."""
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
    sizes = stream.size, stream.header_size, h.width, h.height
    what = h.checksums, h.quality, h.fingerprint.hex(), 8 * stream.size / h.pixels
    return StreamInfo(*sizes, *what, tuple(infos))
