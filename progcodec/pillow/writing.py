"""``Image.save`` for ``.shc``."""

import warnings
from typing import IO

from PIL import Image, ImageFile

from progcodec.bitstream.container import FINGERPRINT_SIZE, Header
from progcodec.cut import Cut
from progcodec.errors import BudgetError, ColourWarning, ProgcodecError
from progcodec.pillow import settings


def save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """``Image.save``. Options: at most one of level, max_bytes and bpp; checksums (True); quality_step, −7 to 7 (0), as the
    quality of :func:`progcodec.encode`; model, device as registered. Pillow's own ``quality``, 0 to 100, has no meaning here and is
    ignored, as PNG ignores it: programs pass it to every format.

    The picture goes by its colour profile, transparency on white, deep grey scaled to 8 bits; no
    metadata is kept. One that comes straight from a file is laid upright by its EXIF orientation; one
    that the program made of it is saved as it lies, as other formats do.
    Raises ValueError for options that make no sense, OSError for a picture that cannot be encoded.
    """
    from progcodec.colour import to_rgb
    from progcodec.image import upright

    options = getattr(image, "encoderinfo", {})
    if options.get(
        "append_images"
    ):  # Not every release of Pillow takes these to be a call for save_all.
        save_all(image, fp, filename)
    cut = Cut(*(options.get(name) for name in ("level", "max_bytes", "bpp")))
    if len(cut.limits()) > 1:
        raise ValueError("give at most one of level, max_bytes and bpp")
    try:
        # A turned copy still has the EXIF data of the file that it was made from.
        convert = upright if isinstance(image, ImageFile.ImageFile) else to_rgb
        picture, wrong = convert(image)
        if wrong:
            warnings.warn(wrong, ColourWarning, stacklevel=2)
        # Tried on a bare header, so that wrong options do not wait for the encoder.
        cut.apply(Header(*picture.size, bytes(FINGERPRINT_SIZE)).to_bytes())
        from progcodec.api import encode

        data = encode(
            picture,
            model=options.get("model") or settings.current().model,
            device=options.get("device") or settings.current().device,
            checksums=options.get("checksums", True),
            quality=options.get("quality_step", 0),
            max_pixels=settings.current().max_pixels,
        )
        fp.write(cut.apply(data))
    except BudgetError as error:
        raise ValueError(str(error)) from error
    except ProgcodecError as error:
        raise OSError(f"cannot write a .shc file: {error}") from error
    fp.flush()


def save_all(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    raise ValueError("a .shc file holds one picture: save_all and append_images cannot be used")
