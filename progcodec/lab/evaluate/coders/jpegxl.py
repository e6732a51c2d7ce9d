"""JPEG XL: whole files through imagecodecs; progressive files, and what a cut of one shows, through the same libjxl.

imagecodecs offers neither progressive encoding nor the decoder's "show what has arrived", so these few calls go to the
libjxl that its wheel brings (API of libjxl 0.7 and later, jxl/encode.h and jxl/decode.h).
"""

import ctypes as c
from functools import lru_cache

import numpy as np
from PIL import Image

from progcodec.arrays import Pixels
from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders.base import Coder, UndecodableError
from progcodec.lab.evaluate.coders.bundled import bundled_library

EFFORT = 8
"""3 % fewer bytes than the default, 7, for four times the time; 9 saves no more."""
CUT_DISTANCE = 2.0

_SETTING_EFFORT, _SETTING_PROGRESSIVE_AC = 0, 17
_NEED_MORE_INPUT, _NEED_BUFFER, _BASIC_INFO, _FULL_IMAGE, _PROGRESSION = 2, 5, 0x40, 0x1000, 0x8000
_EVERY_PASS = 4
_NEED_MORE_OUTPUT, _OUTPUT_ROOM = 2, 1 << 16

# JxlBasicInfo as 32-bit words: the places of what is read or set here
_WORD_WIDTH, _WORD_HEIGHT, _WORD_BITS, _WORD_OWN_PROFILE = 1, 2, 3, 9
_STRUCT_WORDS = 256
"""More than any of its structures takes."""


class JpegXl(Coder):
    """VarDCT, a bare codestream, effort 8. For cuts: progressive AC passes; one that came whole is shown."""

    key, name = "jpegxl", "JPEG XL"
    settings = (25, 19, 16.5, 14.5, 12.5, 11, 9.5, 8, 7, 6, 5.2, 4.5, 3.8, 3.2, 2.6)
    """Butteraugli distances; 25 is the largest."""

    def library(self) -> str:
        try:
            import imagecodecs
        except ImportError as error:
            raise EvaluationError(f"imagecodecs is not installed ({error})") from None
        if not imagecodecs.JPEGXL.available or _libjxl() is None:
            raise EvaluationError("imagecodecs was built without libjxl")
        version: str = imagecodecs.jpegxl_version()
        return version.replace(" ", "-")

    def options(self) -> object:
        return EFFORT, CUT_DISTANCE, "progressive AC"

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        import imagecodecs

        pixels, distance = np.asarray(picture), float(setting)
        data = imagecodecs.jpegxl_encode(
            pixels, distance=distance, effort=EFFORT, usecontainer=False, numthreads=1
        )
        return bytes(data)

    def decode(self, data: bytes) -> Image.Image:
        import imagecodecs

        return Image.fromarray(imagecodecs.jpegxl_decode(data, numthreads=1))

    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        return encode_progressive(np.asarray(picture), CUT_DISTANCE)

    def decode_cut(self, data: bytes) -> Image.Image:
        return Image.fromarray(decode_start(data))


class _PixelFormat(c.Structure):
    _fields_ = (
        ("channels", c.c_uint32),
        ("type", c.c_int),
        ("endianness", c.c_int),
        ("align", c.c_size_t),
    )


_RGB8 = _PixelFormat(3, 2, 0, 0)


def encode_progressive(pixels: Pixels, distance: float) -> bytes:
    """A bare codestream of uint8 (H, W, 3) whose AC coefficients come in passes, low frequencies first."""
    library = _require()
    encoder = c.c_void_p(library.JxlEncoderCreate(None))
    try:
        info = (c.c_uint32 * _STRUCT_WORDS)()
        library.JxlEncoderInitBasicInfo(info)
        info[_WORD_HEIGHT], info[_WORD_WIDTH] = pixels.shape[:2]
        info[_WORD_BITS], info[_WORD_OWN_PROFILE] = 8, 0
        _check(library.JxlEncoderSetBasicInfo(encoder, info))
        colour = (c.c_uint32 * _STRUCT_WORDS)()
        library.JxlColorEncodingSetToSRGB(colour, 0)
        _check(library.JxlEncoderSetColorEncoding(encoder, colour))
        frame = c.c_void_p(library.JxlEncoderFrameSettingsCreate(encoder, None))
        _check(library.JxlEncoderSetFrameDistance(frame, c.c_float(distance)))
        for option, value in ((_SETTING_EFFORT, EFFORT), (_SETTING_PROGRESSIVE_AC, 1)):
            _check(library.JxlEncoderFrameSettingsSetOption(frame, option, c.c_int64(value)))
        raw = np.ascontiguousarray(pixels).tobytes()
        _check(library.JxlEncoderAddImageFrame(frame, c.byref(_RGB8), raw, c.c_size_t(len(raw))))
        library.JxlEncoderCloseInput(encoder)
        return _output(library, encoder)
    finally:
        library.JxlEncoderDestroy(encoder)


def decode_start(data: bytes) -> Pixels:
    """uint8 (H, W, 3) of what a cut codestream holds. Raises UndecodableError if that is not one pass yet."""
    library = _require()
    decoder = c.c_void_p(library.JxlDecoderCreate(None))
    try:
        library.JxlDecoderSubscribeEvents(decoder, _BASIC_INFO | _FULL_IMAGE | _PROGRESSION)
        library.JxlDecoderSetProgressiveDetail(decoder, _EVERY_PASS)
        library.JxlDecoderSetInput(decoder, data, c.c_size_t(len(data)))
        info = (c.c_uint32 * _STRUCT_WORDS)()
        pixels: Pixels | None = None
        while True:
            event = library.JxlDecoderProcessInput(decoder)
            if event == _BASIC_INFO:
                library.JxlDecoderGetBasicInfo(decoder, info)
            elif event == _NEED_BUFFER:
                pixels = np.zeros((info[_WORD_HEIGHT], info[_WORD_WIDTH], 3), np.uint8)
                place = pixels.ctypes.data_as(c.c_void_p)
                library.JxlDecoderSetImageOutBuffer(
                    decoder, c.byref(_RGB8), place, c.c_size_t(pixels.nbytes)
                )
            elif pixels is not None and (
                event == _FULL_IMAGE
                or (event == _NEED_MORE_INPUT and library.JxlDecoderFlushImage(decoder) == 0)
            ):
                return pixels
            elif event != _PROGRESSION:
                raise UndecodableError("libjxl has nothing to show yet")
    finally:
        library.JxlDecoderDestroy(decoder)


def _output(library: c.CDLL, encoder: c.c_void_p) -> bytes:
    parts = []
    while True:
        room = c.create_string_buffer(_OUTPUT_ROOM)
        place, left = c.c_void_p(c.addressof(room)), c.c_size_t(_OUTPUT_ROOM)
        status = library.JxlEncoderProcessOutput(encoder, c.byref(place), c.byref(left))
        parts.append(room.raw[: _OUTPUT_ROOM - left.value])
        if status != _NEED_MORE_OUTPUT:
            _check(status)
            return b"".join(parts)


def _check(status: int) -> None:
    if status:
        raise EvaluationError(f"libjxl refuses with status {status}")


def _require() -> c.CDLL:
    library = _libjxl()
    if library is None:
        raise EvaluationError("libjxl is not to be found")
    return library


@lru_cache(maxsize=1)
def _libjxl() -> c.CDLL | None:
    path = bundled_library("imagecodecs", "libjxl-*")
    if path is None:
        return None
    import imagecodecs

    imagecodecs.jpegxl_version()  # loads what libjxl itself needs from the same folder
    library = c.CDLL(str(path))
    for name in ("JxlEncoderCreate", "JxlEncoderFrameSettingsCreate", "JxlDecoderCreate"):
        getattr(library, name).restype = c.c_void_p
    return library
