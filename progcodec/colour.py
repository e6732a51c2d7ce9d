"""What the numbers of a picture mean: any mode of Pillow's to 8-bit sRGB, opaque on white.

grey of more bits ─► 8 bits ─┐
transparency ─► alpha, apart ─┴─► embedded colour profile (ICC), relative colorimetric ─► on white
"""

import io
import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from progcodec.errors import ColourWarning, ImageError, in_one_line

MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Colour spaces of profiles, and Pillow's mode of the numbers that they are about."""
STEPS = 17
"""Levels of a channel at which the colours of a profile are compared with those of sRGB."""

_KEY_SCALES = {"L;2": 255 // 3, "L;4": 255 // 15}
"""By what Pillow multiplies the grey of PNGs of 2 and 4 bits."""
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""Tags of a TIFF, and the meaning of the second where it is missing or 0."""


def plain(image: object) -> object:
    """A picture of Pillow's as RGB in sRGB on white, that may be cut anywhere; all else as it is.
    Warns ColourWarning where its profile cannot be used.
    """
    if not isinstance(image, Image.Image) or _is_plain(image):
        return image
    converted, wrong = to_rgb(image)
    if wrong:
        warnings.warn(wrong, ColourWarning, stacklevel=2)
    return converted


def transparent_key(image: Image.Image) -> object:
    """A PNG's transparent colour in the 8 bits of its picture, as far as Pillow still knows the
    file's bits: it leaves the key in those. Any other transparency as it is.

    Of 16 bits the upper 8 count, which is all that Pillow reads of the picture.
    """
    key, tiles = image.info.get("transparency"), getattr(image, "tile", None)
    raw = str(tiles[0][3]) if tiles else ""  # none after loading
    if isinstance(key, tuple) and (raw == "RGB;16B" or max(key) > 255):
        return tuple(value >> 8 for value in key)
    return key * _KEY_SCALES.get(raw, 1) if isinstance(key, int) else key


def to_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    """A new RGB picture without metadata, and what is wrong with the old one's profile."""
    key = transparent_key(image)
    if key != image.info.get("transparency"):
        image = image.copy()
        image.info["transparency"] = key
    if image.mode == "F" or image.mode.startswith("I"):
        image = _deep_grey(image)
    elif image.mode == "La":
        image = image.convert("LA")
    try:
        alpha = None
        if image.has_transparency_data:
            alpha = image.convert("RGBA").getchannel("A")
            image = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
        picture, wrong = _to_srgb(image)
    except ValueError as error:
        raise ImageError(f"pictures of mode {image.mode} cannot be converted to RGB") from error
    if alpha is not None:
        picture.putalpha(alpha)
        opaque = Image.new("RGBA", image.size, "white")
        picture = Image.alpha_composite(opaque, picture).convert("RGB")
    elif picture is image:
        picture = picture.copy()
    picture.info = {}
    return picture, wrong


def _is_plain(image: Image.Image) -> bool:
    return (
        image.mode == "RGB" and not image.has_transparency_data and "icc_profile" not in image.info
    )


def _deep_grey(image: Image.Image) -> Image.Image:
    """Grey of more bits as 8: of 16, or floats over [0, 1]. Pillow's convert clips."""
    values = np.asarray(image).astype(np.float32)
    white = 1.0 if image.mode == "F" else 65535.0
    if not values.size or not (values.min() >= 0 and values.max() <= white):
        raise ImageError(f"no grey values, or some outside 0..{white:g}")
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    if tags.get(_BITS) == (12,):  # Pillow neither scales these nor minds which end is white
        white = 4095.0
    grey = np.floor(values * (255.0 / white) + 0.5).astype(np.uint8)
    if tags and tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO:
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    picture = Image.fromarray(grey)
    if "icc_profile" in image.info:
        picture.info["icc_profile"] = image.info["icc_profile"]
    return picture


def _to_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    """An opaque picture of 8 bits in sRGB, and what is wrong with its profile ("" if nothing is).

    Without a profile, or with a wrong one, the numbers are taken for sRGB (those of CMYK for plain
    inks). Raises ValueError where Pillow knows no way to RGB.
    """
    wrong = ""
    if "icc_profile" in image.info:
        try:
            mode, apply = _conversion(image.info["icc_profile"])
            if not _fits(image.mode, mode):
                raise ValueError(f"it is for {mode} pictures, not for {image.mode}")
            return apply(image.convert(mode)), ""
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - damage has many names
            wrong = f"colours may be wrong: the colour profile is unusable ({in_one_line(error)})"
    return image.convert("RGB"), wrong


def _fits(mode: str, profile_mode: str) -> bool:
    """Whether the numbers of a picture, converted to a profile's mode, are what it is about."""
    # also of grey: made from a colour picture, it often keeps its profile
    if profile_mode == "RGB":
        return mode not in ("CMYK", "LAB")
    return (mode, profile_mode) == ("1", "L") or mode == profile_mode


@lru_cache(maxsize=8)
def _conversion(profile: bytes | None) -> tuple[str, Callable[[Image.Image], Image.Image]]:
    """The mode that a profile is for, and what makes sRGB of pictures of that mode."""
    from PIL import ImageCms

    if not profile:  # Pillow's word for one that it cannot even unpack
        raise ValueError("it is damaged")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    if space not in MODES:
        raise ValueError(f"its colour space is {space}")
    mode, intent = MODES[space], ImageCms.Intent.RELATIVE_COLORIMETRIC
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB", intent)
    if mode == "RGB":
        levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
        moved = np.asarray(transform.apply(Image.fromarray(colours))).astype(int) - colours
        if abs(moved).max() <= 1:  # sRGB itself: most photographs are spared the rounding, and time
            return mode, lambda image: image
    return mode, transform.apply
