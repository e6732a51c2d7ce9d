"""One call for one image or stream: the codec that it needs is found, loaded once and kept."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image

from progcodec.bitstream import container
from progcodec.codec import Codec
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.network.checkpoint import find
from progcodec.stream import cut


def encode(
    image: object,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    level: str | None = None,
    max_bytes: int | None = None,
    checksums: bool = True,
    quality: int = 0,
    max_pixels: int = DEFAULT_PIXEL_LIMIT,
) -> bytes:
    """One image to a ``.shc`` stream, cut after a level or to a byte budget if asked. See :meth:`Codec.encode`."""
    codec = _loaded(find(model), device)
    return cut(
        codec.encode(image, checksums=checksums, quality=quality, max_pixels=max_pixels),
        level,
        max_bytes,
    )


def decode(
    data: bytes,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    level: str | None = None,
    max_bytes: int | None = None,
    region: Sequence[int] | None = None,
    max_pixels: int = DEFAULT_PIXEL_LIMIT,
) -> Image.Image:
    """The picture that a stream holds, or a region (x, y, width, height) of it. Finds the shipped model that wrote it, unless one is named. See :meth:`Codec.decode`."""
    codec = codec_for(data, model=model, device=device, max_pixels=max_pixels)
    return codec.decode(
        data, level=level, max_bytes=max_bytes, region=region, max_pixels=max_pixels
    )


def codec_for(
    data: bytes,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    max_pixels: int = DEFAULT_PIXEL_LIMIT,
) -> Codec:
    """The codec that a stream needs, by the fingerprint in its header unless one is named; it stays loaded.

    Raises NotShcError, UnsupportedVersionError, LimitError, WrongModelError, CheckpointError.
    """
    return _loaded(find(model, container.parse_header(data, max_pixels).fingerprint), device)


@lru_cache(maxsize=4)
def _loaded(path: Path, device: str) -> Codec:
    return Codec.load(path, device)
