"""``Image.save`` for ``.shc``."""

import math
import warnings
from typing import IO, Any

from PIL import Image, ImageFile

from progcodec.config import QUALITY_MAX
from progcodec.cut import Cut
from progcodec.errors import BudgetError, ColourWarning, ProgcodecError
from progcodec.network.quality import step_size
from progcodec.pillow.settings import CURRENT

JPEG_DEFAULT = 75
"""Pillow's quality where none is given."""
OWN = ("level", "max_bytes", "bpp", "checksums", "quality", "quality_step", "model", "device")
WITHOUT_EFFECT = (
    "append_images",  # if empty
    *("exif", "icc_profile", "xmp", "dpi", "comment"),  # metadata, which are not kept
    *("optimize", "progressive", "method", "compress_level", "compress_type"),  # effort
)
"""Settings of other formats that are taken and do nothing."""


def save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """``Image.save``.

    Options: at most one of level, max_bytes and bpp; checksums (True); quality_step, −7 to 7 (0),
    as the quality of :func:`progcodec.encode`; model, device as registered.

    ``quality``, 0 to 100 as for JPEG, stands for the quality_step by which the quantisation is as
    many times finer than at 75, which is 0: 50 is −3, 85 is 3, 90 is 5, 95 and more are 7. What
    programs pass to every format and what changes no pixel (:data:`WITHOUT_EFFECT`) has no effect;
    all else is refused.

    The picture goes by its colour profile, transparency on white, deep grey scaled to 8 bits; no
    metadata is kept. One that comes straight from a file is laid upright by its EXIF orientation;
    one that the program made of it is saved as it lies, as other formats do. Raises ValueError for
    options that make no sense, OSError for a picture that cannot be encoded.
    """
    from progcodec.colour import to_rgb
    from progcodec.image import upright

    options = getattr(image, "encoderinfo", {})
    # Not every release of Pillow takes these to be a call for save_all.
    if options.get("append_images"):
        save_all(image, fp, filename)
    step = _quality_step(options)
    cut = Cut(*(options.get(name) for name in ("level", "max_bytes", "bpp")))
    if len(cut.limits()) > 1:
        raise ValueError("give at most one of level, max_bytes and bpp")
    try:
        # A turned copy still has the EXIF data of the file that it was made from.
        convert = upright if isinstance(image, ImageFile.ImageFile) else to_rgb
        picture, wrong = convert(image)
        if wrong:
            warnings.warn(wrong, ColourWarning, stacklevel=2)
        cut.check(*picture.size)  # before the encoder's work
        from progcodec.api import encode

        data = encode(
            picture,
            model=options.get("model") or CURRENT.model,
            device=options.get("device") or CURRENT.device,
            checksums=options.get("checksums", True),
            quality=step,
            max_pixels=CURRENT.max_pixels,
        )
        fp.write(cut.apply(data))
    except BudgetError as error:
        raise ValueError(str(error)) from error
    except ProgcodecError as error:
        raise OSError(f"cannot write a .shc file: {error}") from error
    fp.flush()


def _quality_step(options: dict[str, Any]) -> int:
    """The quality that the options ask for. Raises ValueError for options of no meaning."""
    if unknown := set(options) - {*OWN, *WITHOUT_EFFECT}:
        raise ValueError(
            f"a .shc file has no setting {', '.join(sorted(unknown))}; there are: {', '.join(OWN)}"
        )
    quality, step = options.get("quality"), options.get("quality_step")
    if quality is None:
        return 0 if step is None else step
    if step is not None:
        raise ValueError("give at most one of quality and quality_step")
    if not isinstance(quality, int) or not 0 <= quality <= 100:
        raise ValueError(f"quality is a whole number from 0 to 100, not {quality!r}")
    finer = _jpeg_scale(JPEG_DEFAULT) / _jpeg_scale(quality)
    step = round(math.log(finer) / math.log(step_size(0) / step_size(1)))
    return max(-QUALITY_MAX, min(QUALITY_MAX, step))


def _jpeg_scale(quality: int) -> float:
    """By what libjpeg multiplies its tables, in per cent; above zero."""
    return 5000 / max(1, quality) if quality < 50 else max(1, 200 - 2 * quality)


def save_all(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    raise ValueError("a .shc file holds one picture: save_all and append_images cannot be used")
