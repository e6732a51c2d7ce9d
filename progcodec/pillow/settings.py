"""What pictures are read and written with: set once, for all of them."""

from dataclasses import dataclass
from pathlib import Path

from progcodec.config import DEFAULT_PIXEL_LIMIT

FORMAT = "SHC"


@dataclass(frozen=True)
class Settings:
    """What pictures are decoded and encoded with.

    Attributes:
        model: a checkpoint, by path or by the name of a shipped one; None for the shipped one that
            fits.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        max_pixels: larger pictures are refused.
    """

    model: str | Path | None = None
    device: str = "auto"
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT


_current = Settings()


def current() -> Settings:
    return _current


def choose(settings: Settings) -> None:
    """From now on, for all pictures."""
    global _current
    _current = settings
