"""``.shc`` in Pillow: importing this module registers the format, so that every Pillow program
reads and writes it.

    import progcodec.pillow

    # header only: size, image.info; a cut file is no error
    image = Image.open("photo.shc")
    # or image.max_bytes = 2000; no byte beyond that is read
    image.level = "coarse"
    image.show()                                     # the first look at a pixel decodes
    Image.open("photo.png").save("photo.shc", max_bytes=4000)

As Pillow's own formats do: what is no ``.shc`` file at all cannot be identified
(``UnidentifiedImageError``), a damaged one is opened and raises ``OSError`` when it is loaded or
verified, its cause being this package's named error. torch is imported when pixels are first
decoded or encoded.
"""

import os
from pathlib import Path
from typing import IO

from PIL import Image

from progcodec.config import DEFAULT_PIXEL_LIMIT
from progcodec.pillow.reading import DRAFT_LEVELS, ShcImageFile, accept
from progcodec.pillow.settings import CURRENT, FORMAT
from progcodec.pillow.writing import save, save_all

__all__ = ["DRAFT_LEVELS", "ShcImageFile", "open", "register"]

SUFFIX = ".shc"
MIME_TYPE = "image/x-shc"


def register(
    *,
    model: str | Path | None = None,
    device: str = "auto",
    max_pixels: int | None = DEFAULT_PIXEL_LIMIT,
) -> None:
    """Registers the format, and sets what all pictures are read and written with from now on.

    May be called again.

    Importing this module calls it with the defaults. Files of a shipped model are read whatever
    ``model`` says.

    Args:
        model: checkpoint to encode with, and to decode its files with: a path, or the name of a
            shipped one.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        max_pixels: ``Image.open`` raises ``Image.DecompressionBombError`` for larger pictures, and
            ``save`` OSError. Pillow's own ``Image.MAX_IMAGE_PIXELS`` holds as well.
    """
    CURRENT.model, CURRENT.device, CURRENT.max_pixels = model, device, max_pixels
    Image.register_open(FORMAT, ShcImageFile, accept)
    Image.register_save(FORMAT, save)
    Image.register_save_all(FORMAT, save_all)
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME_TYPE)


def open(
    fp: str | bytes | os.PathLike[str] | IO[bytes],
    *,
    level: str | None = None,
    max_bytes: int | None = None,
    model: str | Path | None = None,
    device: str | None = None,
) -> ShcImageFile:
    """``Image.open`` for ``.shc`` files alone, with what it cannot be told: how far to read, and
    with which model.

    Args:
        level, max_bytes: as the attributes of :class:`ShcImageFile`.
        model, device: for this picture, instead of what :func:`register` says.
    Raises:
        UnidentifiedImageError: not a ``.shc`` file. ValueError: no such level, or a budget below
            the header.
    """
    image = Image.open(fp, formats=(FORMAT,))
    assert isinstance(image, ShcImageFile)
    try:
        image.level = level
        image.max_bytes = max_bytes
    except ValueError:
        image.close()
        raise
    image._own_model, image._own_device = model, device
    return image


register()
