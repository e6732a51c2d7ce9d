"""Other codecs to stand beside: those that Pillow carries, measured here; and published curves, quoted.

The settings are the best that each offers for PSNR without a search per picture:

- JPEG: optimised Huffman tables, 4:2:0. (Progressive scans cost 4 % at quality 10 and save 2 % at 50, 5 % at 90.)
- JPEG 2000: the irreversible 9/7 wavelet, one layer per rate, as a bare codestream (85 bytes less than a .jp2 file),
  and ``mct=1``: Pillow leaves the colour transform *off* by default, which costs 2 to 6 dB.
  Five or seven resolutions instead of six, smaller code blocks and other progressions are no better. What one gets
  without these options (5/3 wavelet, no colour transform) is measured too, under a name that says so.
- WebP: method 6, its slowest and best.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

from progcodec.arrays import Pixels

PUBLISHED_FILE = "published_kodak.json"


class Peer(NamedTuple):
    """A codec with a ladder of settings, by rising rate."""

    name: str
    version: str
    """Of everything that can change its bytes; part of the key under which measurements are kept."""
    settings: tuple[float, ...]
    options: Callable[[float], dict[str, Any]]
    """From a setting to the arguments of ``Image.save``, the format among them."""


class Coded(NamedTuple):
    setting: float
    data: bytes
    pixels: Pixels
    """uint8 (H, W, 3): what the data decode to."""


def _jpeg(quality: float) -> dict[str, Any]:
    return {"format": "JPEG", "quality": int(quality), "optimize": True, "subsampling": "4:2:0"}


def _jpeg2000(bits_per_pixel: float) -> dict[str, Any]:
    # Pillow counts in ratios to the 24 bits of a raw pixel
    return {
        "format": "JPEG2000",
        "irreversible": True,
        "mct": 1,
        "no_jp2": True,
        "quality_mode": "rates",
        "quality_layers": [24 / bits_per_pixel],
    }


def _jpeg2000_defaults(bits_per_pixel: float) -> dict[str, Any]:
    return {"format": "JPEG2000", "quality_mode": "rates", "quality_layers": [24 / bits_per_pixel]}


def _webp(quality: float) -> dict[str, Any]:
    return {"format": "WEBP", "quality": int(quality), "method": 6}


_LADDERS = (
    ("JPEG", "libjpeg_turbo", _jpeg, (3, 5, 8, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95)),
    (
        "JPEG 2000",
        "jpg_2000",
        _jpeg2000,
        (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.4, 2.0, 2.8),
    ),
    (
        "JPEG 2000, Pillow's defaults",
        "jpg_2000",
        _jpeg2000_defaults,
        (0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 1.8, 2.6, 3.6),
    ),
    ("WebP", "webp", _webp, (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95)),
)


def peers(*names: str) -> list[Peer]:
    """The named codecs, or all that this build of Pillow carries."""
    found = []
    for name, feature, options, settings in _LADDERS:
        if (not names or name in names) and features.check(
            feature if feature != "libjpeg_turbo" else "jpg"
        ):
            library = features.version(feature) or features.version("jpg")
            # the options belong to the version too: change one, and kept measurements no longer stand
            mark = hashlib.sha256(repr(options(1)).encode()).hexdigest()[:6]
            found.append(
                Peer(name, f"pillow-{pillow_version}/{feature}-{library}/{mark}", settings, options)
            )
    return found


def code(peer: Peer, pixels: Pixels, setting: float) -> Coded:
    """Encode and decode one picture, uint8 (H, W, 3), at one setting."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **peer.options(setting))
    with Image.open(buffer) as image:
        decoded = np.array(image.convert("RGB"))
    return Coded(setting, buffer.getvalue(), decoded)


def ladder(peer: Peer, pixels: Pixels) -> Iterator[Coded]:
    """:func:`code` at every setting of the peer, by rising rate."""
    for setting in peer.settings:
        yield code(peer, pixels, setting)


def published() -> dict[str, list[tuple[float, float]]]:
    """Published curves on the Kodak images: name → (bits per pixel, RGB PSNR in dB). Quoted, not measured here."""
    data = json.loads((files(__package__) / PUBLISHED_FILE).read_text("utf-8"))
    return {
        name: [(rate, value) for rate, value in curve] for name, curve in data["curves"].items()
    }
