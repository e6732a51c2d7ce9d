"""JPEG 2000 through Pillow (OpenJPEG): a bare codestream, the 9/7 wavelet, the colour transform on.

OpenJPEG refuses a codestream that ends early. A tolerant decoder reads on to the last packet that
is there whole, and so does this one: the tile-part's length is set to what there is, and packets
are dropped from the end until it decodes. That beats OpenJPEG's own ``-allow-partial``, which also
feeds torn code blocks to the wavelet (19.4 against 17.5 dB at 400 bytes of one picture).
"""

import math
from collections.abc import Sequence

from PIL import Image

from progcodec.lab.evaluate.peers.base import (
    Peer,
    UndecodableError,
    open_whole,
    pillow_feature,
    save,
)

COMMENT, TILE_PART, DATA, END = b"\xff\x64", b"\xff\x90", b"\xff\x93", b"\xff\xd9"
COMMENT_BYTES = 39
"""OpenJPEG's advertisement of itself, dropped from the file and so added to its rate."""
LAYERS = tuple(0.02 * 1.36**step for step in range(16))
"""Bits per pixel at the end of each quality layer of a file for cuts: 0.02 to 2."""
MAX_RATE = 12.0
"""Bits per coded pixel beyond which the file gets no better."""


class Jpeg2000(Peer):
    """One layer at a rate for the ladder; for cuts sixteen quality layers, lowest first.

    The settings are bits per pixel *of the full-size picture*, so that they mean the same bytes at
    every scale. Small pictures get fewer resolutions, which saves up to 10 %.
    """

    key, name, progressive = "jpeg2000", "JPEG 2000", True
    settings = tuple(round(0.05 * 1.15**step, 5) for step in range(-18, 29))

    def library(self) -> str:
        return pillow_feature(self.name, "jpg_2000")

    def options(self) -> object:
        return "9/7", "mct", "LRCP", LAYERS

    def ladder(self, scale: float) -> tuple[float, ...]:
        return tuple(setting for setting in self.settings if setting <= MAX_RATE * scale**2)

    def encode(self, picture: Image.Image, setting: float, scale: float) -> bytes:
        return _codestream(picture, [setting / scale**2])

    def encode_for_cuts(self, picture: Image.Image) -> bytes:
        return _codestream(picture, LAYERS)

    def decode_cut(self, data: bytes) -> Image.Image:
        if data.endswith(END):
            return open_whole(data)
        start = data.find(TILE_PART)
        body = data.find(DATA, start) + len(DATA)
        if start < 0 or body < len(DATA):
            raise UndecodableError("not even the header is there")
        for end in range(len(data), body, -1):
            length = (end - start).to_bytes(4, "big")
            try:
                return open_whole(data[: start + 6] + length + data[start + 10 : end] + END)
            except Exception:  # noqa: BLE001, S112  OpenJPEG's refusals have many shapes
                continue
        raise UndecodableError("no packet is there whole")


def _codestream(picture: Image.Image, rates: Sequence[float]) -> bytes:
    """With a layer at each rate, in bits per pixel of `picture`."""
    pixels = picture.width * picture.height
    # Pillow counts in ratios to the 3 bytes of a raw pixel
    ratios = [3 * pixels / (pixels * rate / 8 + COMMENT_BYTES) for rate in rates]
    resolutions = min(6, max(1, int(math.log2(min(picture.size))) - 1))
    layers = [max(1.0, ratio) for ratio in ratios]
    data = save(
        picture, format="JPEG2000", irreversible=True, mct=1, no_jp2=True, quality_mode="rates",
        quality_layers=layers, num_resolutions=resolutions, progression="LRCP",
    )  # fmt: skip
    comment = data.find(COMMENT, 0, data.find(TILE_PART))
    if comment < 0:
        return data
    after = comment + 2 + int.from_bytes(data[comment + 2 : comment + 4], "big")
    return data[:comment] + data[after:]
