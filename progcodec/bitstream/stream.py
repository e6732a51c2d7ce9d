"""What can be done with a stream's bytes alone: cut them, describe them. No torch, no numpy, no model."""

from progcodec.bitstream.container import bytes_for_bpp, level_end, parse, parse_header
from progcodec.bitstream.container import truncate as first_bytes
from progcodec.bitstream.description import SegmentInfo, StreamInfo, describe
from progcodec.config import LEVELS

__all__ = ["SegmentInfo", "StreamInfo", "cut", "info", "last_level", "progress", "truncate"]


def truncate(
    data: bytes, *, max_bytes: int | None = None, bpp: float | None = None, level: str | None = None
) -> bytes:
    """A prefix of a stream: at most so many bytes, at most so many bits per pixel, or up to the end of a level.

    Give exactly one of the three. What is shorter already comes back whole.

    Raises:
        BudgetError: the header does not fit.
        NotShcError, UnsupportedVersionError, CorruptError: `data` is no sound stream.
        ValueError: not exactly one limit, or one that makes no sense.
    """
    if sum(limit is not None for limit in (max_bytes, bpp, level)) != 1:
        raise ValueError("give exactly one of max_bytes, bpp and level")
    if bpp is not None:
        max_bytes = bytes_for_bpp(parse_header(data, max_pixels=None), bpp)
    elif level is not None:
        if level not in LEVELS:
            raise ValueError(f"unknown level {level!r}; there are: {', '.join(LEVELS)}")
        max_bytes = level_end(parse(data, max_pixels=None), LEVELS.index(level))
    assert max_bytes is not None
    return first_bytes(data, max_bytes)


def cut(data: bytes, level: str | None = None, max_bytes: int | None = None) -> bytes:
    """The prefix of a stream that a level or a byte budget selects; the shorter of both if both are given."""
    if level is not None:
        data = truncate(data, level=level)
    return data if max_bytes is None else truncate(data, max_bytes=max_bytes)


def info(data: bytes) -> StreamInfo:
    """What a stream is and how far it goes. Raises NotShcError, UnsupportedVersionError or CorruptError."""
    return describe(data)


def last_level(description: StreamInfo) -> str | None:
    """The finest level that is there entirely, None before the first."""
    complete = [segment.name for segment in description.segments if segment.complete]
    return complete[-1] if complete and complete[-1] in LEVELS else None


def progress(description: StreamInfo) -> str:
    """How far a stream goes, in words: ``"coarse + 37% of intermediate"``; ``"header"`` when nothing follows it."""
    parts: list[str] = []
    for segment in description.segments:
        if segment.complete:
            parts = [segment.name]
        elif segment.received:
            if segment.start is None or segment.end is None:
                parts.append(f"the start of {segment.name}")
            else:
                parts.append(
                    f"{int(100 * segment.received / (segment.end - segment.start))}% of {segment.name}"
                )
    return " + ".join(parts) or "header"
