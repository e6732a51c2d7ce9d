"""Where a stream stops. Bytes only: no torch, no numpy, no model."""

import math
from dataclasses import asdict, dataclass

from progcodec.bitstream.container import FINGERPRINT_SIZE, Header, as_bytes, parse, parse_header
from progcodec.config import LEVELS
from progcodec.errors import BudgetError


@dataclass(frozen=True)
class Cut:
    """The prefix of a stream that is wanted.

    Of several limits the nearest holds; without any, all of it is wanted.

    Attributes:
        level: the last level, "coarse", "intermediate" or "fine".
        max_bytes: bytes at most.
        bpp: bytes at most, in bits per pixel of the picture, rounded down.
    Raises ValueError for a level, a number of bytes or a rate that makes no sense.
    """

    level: str | None = None
    max_bytes: int | None = None
    bpp: float | None = None

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in LEVELS:
            raise ValueError(f"unknown level {self.level!r}; there are: {', '.join(LEVELS)}")
        if self.max_bytes is not None:
            if isinstance(self.max_bytes, bool) or not hasattr(self.max_bytes, "__index__"):
                raise ValueError(f"bytes must be a whole number, not {self.max_bytes!r}")
            object.__setattr__(self, "max_bytes", int(self.max_bytes))  # numpy's is no JSON
        if self.bpp is not None:
            if isinstance(self.bpp, str) or not (math.isfinite(self.bpp) and self.bpp > 0):
                raise ValueError(f"bits per pixel must be finite and above zero, not {self.bpp!r}")
            object.__setattr__(self, "bpp", float(self.bpp))

    def __bool__(self) -> bool:
        """Whether anything limits the stream."""
        return bool(self.limits())

    def __str__(self) -> str:
        """As file names have it: ``coarse``, ``2000B``, ``0.25bpp``."""
        forms = {"level": "{}", "max_bytes": "{}B", "bpp": "{:g}bpp"}
        return ".".join(forms[name].format(limit) for name, limit in self.limits().items())

    def limits(self) -> dict[str, object]:
        """The limits that are set, by name."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    def check(self, width: int, height: int) -> None:
        """Raises BudgetError where the header of such a picture would not fit."""
        self.apply(Header(width, height, bytes(FINGERPRINT_SIZE)).to_bytes())

    def apply(self, data: bytes) -> bytes:
        """The prefix, or all of what is shorter. Raises BudgetError where the header does not fit,
        and what :func:`parse` does.
        """
        if not self:
            return data
        data = as_bytes(data)
        header = parse_header(data, max_pixels=None)
        size = len(data)
        if self.level is not None:
            segments = parse(data, max_pixels=None).segments
            last = 1 + LEVELS.index(self.level)  # the hyperlatent comes first
            size = segments[last].end if last < len(segments) else size
        if self.bpp is not None:
            size = min(size, math.floor(self.bpp * header.pixels / 8))
        if self.max_bytes is not None:
            size = min(size, self.max_bytes)
        if size < header.size:
            raise BudgetError(f"{size} bytes cannot hold the header of {header.size} bytes")
        return data[:size]


def truncate(
    data: bytes, *, max_bytes: int | None = None, bpp: float | None = None, level: str | None = None
) -> bytes:
    """A prefix of a stream: at most so many bytes, at most so many bits per pixel, or up to the end
    of a level.

    Give exactly one of the three. What is shorter already comes back whole.

    Raises:
        BudgetError: the header does not fit.
        NotShcError, UnsupportedVersionError, CorruptError: `data` is no sound stream.
        ValueError: not exactly one limit, or one that makes no sense.
    """
    cut = Cut(level, max_bytes, bpp)
    if len(cut.limits()) != 1:
        raise ValueError("give exactly one of max_bytes, bpp and level")
    return cut.apply(data)


def log_spaced(first: int, last: int, count: int) -> list[int]:
    """At most ``count`` sizes that rise from ``first`` to ``last`` by one factor."""
    ratio = last / first
    return sorted({round(first * ratio ** (n / max(1, count - 1))) for n in range(count)})
