"""The start of a cut WebP file, by libwebp's incremental decoder, which Pillow carries but does not offer."""

import ctypes
import ctypes.util
from functools import lru_cache

import numpy as np
from PIL import Image

from progcodec.lab.evaluate.coders.base import UndecodableError
from progcodec.lab.evaluate.coders.bundled import bundled_library

RGB_MODE, STATUS_OK, STATUS_SUSPENDED = 0, 0, 5
MISSING = 128
"""Grey level of the rows that did not come; libjpeg shows the same."""


def decode_start(data: bytes) -> Image.Image:
    """RGB; rows that did not come are grey. Raises UndecodableError if there is not even one, or no such library."""
    library = _libwebp()
    if library is None:
        raise UndecodableError("libwebp is not to be found")
    decoder = ctypes.c_void_p(library.WebPINewRGB(RGB_MODE, None, 0, 0))
    try:
        status = library.WebPIAppend(decoder, data, len(data))
        if status not in (STATUS_OK, STATUS_SUSPENDED):
            raise UndecodableError(f"libwebp gives status {status}")
        last, width, height, stride = (ctypes.c_int(0) for _ in range(4))
        rows = library.WebPIDecGetRGB(decoder, *map(ctypes.byref, (last, width, height, stride)))
        if not rows or last.value < 1:
            raise UndecodableError("not one row of the picture is there")
        pixels = np.full((height.value, width.value, 3), MISSING, np.uint8)
        received = ctypes.string_at(rows, stride.value * last.value)
        lines = np.frombuffer(received, np.uint8).reshape(last.value, stride.value)
        pixels[: last.value] = lines[:, : 3 * width.value].reshape(last.value, width.value, 3)
        return Image.fromarray(pixels)
    finally:
        library.WebPIDelete(decoder)


@lru_cache(maxsize=1)
def _libwebp() -> ctypes.CDLL | None:
    library = bundled_library("PIL", "libwebp-*") or ctypes.util.find_library("webp")
    if library is None:
        return None
    loaded = ctypes.CDLL(str(library))
    loaded.WebPINewRGB.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    loaded.WebPINewRGB.restype = ctypes.c_void_p
    loaded.WebPIAppend.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    loaded.WebPIDecGetRGB.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_int)] * 4]
    loaded.WebPIDecGetRGB.restype = ctypes.c_void_p
    loaded.WebPIDelete.argtypes = [ctypes.c_void_p]
    return loaded
