"""Colour profiles on reading, and grey of more than 8 bits."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from progcodec.errors import ColourWarning, ImageError
from progcodec.image import open_image
from tests.support import profiles
from tests.support.samples import file_of

COLOUR = (200, 90, 60)
TOLERANCE = 2
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def first(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.asarray(open_image(data))[0, 0].astype(int)


def near(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(found - wanted).max() <= TOLERANCE)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_wide_gamut_becomes_srgb(form):
    options = {"lossless": True} if form == "WEBP" else {"quality": 100} if form == "JPEG" else {}
    picture = Image.new("RGB", (16, 16), COLOUR)
    data = file_of(picture, form, icc_profile=profiles.wide_rgb(), **options)
    assert near(first(data), profiles.wide_as_srgb(COLOUR))
    assert np.abs(profiles.wide_as_srgb(COLOUR) - COLOUR).max() > 10


def test_the_profile_of_srgb_changes_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = file_of(Image.fromarray(noise), icc_profile=SRGB)
    assert np.array_equal(np.asarray(open_image(data)), noise)


@pytest.mark.parametrize("form", ["TIFF", "JPEG"])
@pytest.mark.parametrize("place", profiles.INK_LAB)
def test_inks_look_as_printed(form, place):
    inks = tuple(255 * (place >> bit & 1) for bit in range(4))
    picture = Image.new("CMYK", (16, 16), inks)
    options = {"quality": 100} if form == "JPEG" else {}
    found = first(file_of(picture, form, icc_profile=profiles.inks(), **options))
    assert np.abs(found - profiles.lab_as_srgb(profiles.INK_LAB[place])).max() <= 4


def test_grey_by_a_profile_of_grey_and_by_one_of_colours_and_palettes():
    plain, grey = Image.new("L", (4, 4), 100), np.full(3, profiles.grey_as_srgb(100))
    deep = Image.fromarray(np.full((4, 4), 100 * 257, np.uint16))
    for picture in (plain, deep):
        assert near(first(file_of(picture, icc_profile=profiles.grey())), grey)
    wide = {"icc_profile": profiles.wide_rgb()}
    assert near(first(file_of(plain, **wide)), profiles.wide_as_srgb((100, 100, 100)))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, *COLOUR])
    assert near(first(file_of(palette, **wide)), profiles.wide_as_srgb(COLOUR))


def test_what_is_transparent_keeps_its_share():
    picture = Image.new("RGBA", (4, 4), (*COLOUR, 128))
    found = first(file_of(picture, icc_profile=profiles.wide_rgb()))
    assert near(found, (128 * profiles.wide_as_srgb(COLOUR) + 127 * 255) / 255)
    found = first(file_of(Image.new("LA", (4, 4), (100, 0)), icc_profile=profiles.grey()))
    assert near(found, np.full(3, 255))


@pytest.mark.parametrize("profile", [b"no profile", SRGB[:300], profiles.inks(), profiles.grey()])
def test_a_profile_that_is_broken_or_does_not_fit_is_one_warning(profile):
    data = file_of(Image.new("RGB", (4, 4), COLOUR), icc_profile=profile)
    with pytest.warns(ColourWarning, match="profile") as told:
        picture = open_image(data)
    assert len(told) == 1 and told[0].filename == __file__
    assert picture.getpixel((0, 0)) == COLOUR


def test_a_profile_that_cannot_be_unpacked_is_one_warning():
    data = bytearray(file_of(Image.new("RGB", (4, 4), COLOUR), icc_profile=profiles.wide_rgb()))
    start = data.index(b"iCCP")
    size = int.from_bytes(data[start - 4 : start], "big")
    data[start + 40 : start + 48] = bytes(8)
    chunk = data[start : start + 4 + size]
    data[start + 4 + size : start + 8 + size] = zlib.crc32(chunk).to_bytes(4, "big")
    with pytest.warns(ColourWarning) as told:
        assert open_image(bytes(data)).getpixel((0, 0)) == COLOUR
    assert len(told) == 1


def test_every_way_into_the_codec_sees_the_profile(tiny_codec, tiny_checkpoint):
    import progcodec.pillow

    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    data = file_of(Image.fromarray(noise), icc_profile=profiles.wide_rgb())
    wanted = tiny_codec.encode(open_image(data))
    opened = Image.open(io.BytesIO(data))
    assert tiny_codec.encode(opened) == wanted != tiny_codec.encode(noise)
    progcodec.pillow.register(model=tiny_checkpoint)
    try:
        assert file_of(opened, "SHC") == wanted
    finally:
        progcodec.pillow.register()


# --- grey of more than 8 bits -----------------------------------------------------------------


def tiff(bits: int, photometric: int | None, rows: bytes, order: str = "<", kind: int = 1) -> bytes:
    """A TIFF of 8 × 2 pixels of grey, in one strip."""
    tags = [(256, 8), (257, 2), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, 2), (279, len(rows)), (339, kind)]
    entries = [
        struct.pack(f"{order}HHIHxx", tag, 3, 1, value) for tag, value in tags if value is not None
    ]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}I", 8 + len(rows))
    return (
        mark + start + rows + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    )


def packed_12(values: np.ndarray) -> bytes:
    digits = "".join(f"{value:03x}" for value in values)
    return bytes.fromhex(digits)


RAMP = np.linspace(0, 1, 8)
RIGHT = (255 * RAMP).round().astype(int)


@pytest.mark.parametrize(
    ("bits", "kind", "pack"),
    [
        (8, 1, lambda x, order: (255 * x).round().astype(np.uint8).tobytes()),
        (12, 1, lambda x, order: packed_12((4095 * x).round().astype(int))),
        (16, 1, lambda x, order: (65535 * x).round().astype(f"{order}u2").tobytes()),
        (32, 3, lambda x, order: x.astype(f"{order}f4").tobytes()),
    ],
)
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_tiffs_of_any_depth(bits, kind, pack, white_is_zero, order):
    data = tiff(bits, 0 if white_is_zero else 1, 2 * pack(RAMP, order), order, kind)
    if (bits == 12 or bits == 16 and white_is_zero) and (
        order == ">" or bits == 12 and white_is_zero
    ):
        with pytest.raises(ImageError, match="known format"):  # Pillow cannot read these
            open_image(data)
        return
    found = np.asarray(open_image(data))
    assert np.array_equal(found[:, :, 0], [RIGHT[::-1] if white_is_zero else RIGHT] * 2)


def test_a_tiff_that_lies_on_its_side_and_its_tiles_come_out_as_well(tiny_codec):
    upright = tiff(16, 0, 2 * (65535 * RAMP).round().astype("<u2").tobytes())
    picture = Image.open(io.BytesIO(upright))
    assert tiny_codec.encode(picture) == tiny_codec.encode(open_image(upright))
    turned = file_of(Image.fromarray(np.uint16([[0, 65535]])), "TIFF", tiffinfo={274: 6})
    assert np.asarray(open_image(turned))[:, :, 0].tolist() == [[0], [255]]


def wide(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def png(bits: int, kind: int, rows: bytes, width: int, key: bytes) -> bytes:
    """One row of a PNG of which one colour is transparent."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + rows))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"tRNS", key) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "red"),
    [
        (png(1, 0, b"\x40", 2, b"\0\0"), [255, 255]),
        (png(2, 0, b"\x1b", 4, b"\0\1"), [0, 255, 170, 255]),
        (png(4, 0, b"\x03\xf1", 4, b"\0\3"), [0, 255, 255, 17]),
        (png(8, 0, b"\3\7", 2, b"\0\3"), [255, 7]),
        (png(16, 0, wide(0, 1000, 1001), 3, wide(1000)), [0, 255, 4]),
        (png(8, 2, bytes([1, 2, 3, 1, 2, 4]), 2, wide(1, 2, 3)), [255, 1]),
        (png(16, 2, wide(999, 2000, 3, 9, 9, 9), 2, wide(999, 2000, 3)), [255, 0]),
        (png(16, 2, wide(3, 4, 5, 999, 9, 9), 2, wide(3, 4, 5)), [255, 3]),
    ],
)  # fmt: skip
def test_a_transparent_colour_is_in_the_bits_of_the_file(data, red, tiny_codec):
    with Image.open(io.BytesIO(data)) as picture:  # before Pillow has read its pixels
        stream = tiny_codec.encode(picture)
    assert np.asarray(open_image(data))[0, :, 0].tolist() == red
    assert stream == tiny_codec.encode(open_image(data))
