"""The lowest quality that is good enough."""

from bisect import bisect_left
from typing import TYPE_CHECKING

from progcodec.codec.encode import Encoded
from progcodec.config import DEFAULT_PIXEL_LIMIT, QUALITY_MAX
from progcodec.errors import QualityError
from progcodec.image import as_tensor, to_array, to_pixels
from progcodec.metrics import psnr

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec

QUALITIES = range(-QUALITY_MAX, QUALITY_MAX + 1)


def encode_to_psnr(
    codec: "Codec",
    image: object,
    target: float,
    *,
    checksums: bool = True,
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
) -> Encoded:
    """The whole stream at the lowest quality whose picture has a PSNR of at least ``target`` dB.

    Found by bisection over the 15 qualities: each that is tried is encoded and decoded. Other
    arguments and errors as of :meth:`Codec.encode`.

    Raises QualityError if the finest quality does not reach it.
    """
    streams: dict[int, Encoded] = {}
    reached: dict[int, float] = {}

    def enough(quality: int) -> bool:
        (made,) = codec.encode_told(
            [image], checksums=checksums, quality=quality, max_pixels=max_pixels
        )
        picture = codec.decode(made.data, max_pixels=max_pixels)
        original = to_pixels(as_tensor(image))[0]
        streams[quality] = made
        reached[quality] = psnr(original, to_array(picture))
        return reached[quality] >= target

    place = bisect_left(QUALITIES, True, key=enough)
    if place == len(QUALITIES):
        best = reached[QUALITY_MAX]
        raise QualityError(
            f"no quality reaches a PSNR of {target:g} dB; the finest gives {best:.2f} dB"
        )
    return streams[QUALITIES[place]]
