"""Codecs by the stream that needs them, or by a checkpoint's name: loaded once and kept, as long as
their file is the same.
"""

from functools import lru_cache
from pathlib import Path

from progcodec.assets import find
from progcodec.bitstream import container
from progcodec.codec.codec import Codec
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.files import stamp


def codec_for(
    data: bytes,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
) -> Codec:
    """The codec that a stream needs, by its fingerprint unless one is named; kept. Raises
    NotShcError, UnsupportedVersionError, LimitError, WrongModelError, CheckpointError.
    """
    path = find(model, container.parse_header(data, max_pixels).fingerprint)
    return _loaded(path, device, stamp(path))


def codec_named(model: str | Path | None, device: str = "auto") -> Codec:
    """The codec of a checkpoint's name, file, or the default; kept. Raises CheckpointError."""
    path = find(model)
    return _loaded(path, device, stamp(path))


@lru_cache(maxsize=4)
def _loaded(path: Path, device: str, stamp: tuple[int, ...]) -> Codec:
    return Codec.load(path, device)
