"""What pictures are read and written with: set once, for all of them."""

from dataclasses import dataclass
from pathlib import Path

from progcodec.config import DEFAULT_PIXEL_LIMIT

FORMAT = "SHC"


@dataclass
class Settings:
    """As the arguments of :func:`progcodec.pillow.register`."""

    model: str | Path | None = None
    device: str = "auto"
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT


CURRENT = Settings()
