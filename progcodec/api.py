"""The calls of a user. The codec that an image or a stream needs is found, loaded once and kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from progcodec.codec.incremental import IncrementalDecoder
from progcodec.codec.loaded import codec_for, codec_named
from progcodec.codec.target import encode_to_psnr
from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.cut import Cut

if TYPE_CHECKING:
    from progcodec.classification.answer import Answer


def encode(
    image: object,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    level: str | None = None,
    max_bytes: int | None = None,
    checksums: bool = True,
    quality: int = 0,
    psnr: float | None = None,
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
) -> bytes:
    """One image to a ``.shc`` stream, cut after a level or to a byte budget if asked.

    See :meth:`Codec.encode`.

    Args:
        psnr: in place of a quality, take the lowest that reaches so many dB: see
            :func:`encode_to_psnr`.
    """
    cut = Cut(level, max_bytes)
    if psnr is not None and (quality or cut):
        raise ValueError("a PSNR is of the whole stream, and chooses its quality: give psnr alone")
    codec = codec_named(model, device)
    if psnr is not None:
        made = encode_to_psnr(codec, image, psnr, checksums=checksums, max_pixels=max_pixels)
        return made.told()
    data = codec.encode(image, checksums=checksums, quality=quality, max_pixels=max_pixels)
    return cut.apply(data)


def decode(
    data: bytes,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    level: str | None = None,
    max_bytes: int | None = None,
    region: Sequence[int] | None = None,
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
) -> Image.Image:
    """The picture that a stream holds, or a region (x, y, width, height) of it.

    Finds the shipped model that wrote it, unless one is named. See :meth:`Codec.decode`.
    """
    codec = codec_for(data, model=model, device=device, max_pixels=max_pixels)
    return codec.decode(
        data, level=level, max_bytes=max_bytes, region=region, max_pixels=max_pixels
    )


class StreamDecoder(IncrementalDecoder):
    """Decodes one ``.shc`` stream piece by piece, and says what the part that is there shows."""

    def classify(self, **options: Any) -> "Answer":
        """The answer of what has arrived; options as of :func:`progcodec.classify`."""
        from progcodec.classification.api import classify_latent

        latent = self.latent()
        assert self.codec is not None
        return classify_latent(latent, self.codec, **options)
