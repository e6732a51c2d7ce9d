"""One picture, cut at several budgets and decoded each time: a contact sheet that shows what
"progressive" means.

original | cut 1 | cut 2        each with its bytes, bits per pixel, level reached, and PSNR
cut 3    | cut 4 | cut 5
cut 6    | cut 7 | whole file
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from progcodec import assets
from progcodec.bitstream.description import info
from progcodec.cut import log_spaced, truncate
from progcodec.geometry import ceil_div
from progcodec.image import open_image, to_array
from progcodec.metrics import psnr

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec

CREDIT = "Photograph: danielbuechele (Flickr), CC BY 2.0"
CUTS = 8
COLUMNS = 3
FIRST_CUT = 64
"""Bytes of the first cut: the header and the first few symbols."""

_CELL, _MARGIN, _GAP = 480, 36, 24  # pixels
_BACKGROUND, _INK, _QUIET = "#ffffff", "#16181d", "#6b7280"


class Shot(NamedTuple):
    """What one cut of the stream gives.

    `psnr` in dB against the original, infinite if they are equal.
    """

    size: int
    bits_per_pixel: float
    reached: str
    psnr: float
    image: Image.Image


def photograph() -> Image.Image:
    """The picture that comes with the package; ``assets/ATTRIBUTION.txt`` names its author."""
    return open_image(assets.FOLDER / "china.jpg")


def cuts(data: bytes, count: int = CUTS) -> list[int]:
    """Sizes in bytes, rising by a constant factor from a little over the header to the whole
    stream; fewer if short.
    """
    first = min(len(data), max(FIRST_CUT, info(data).header_bytes))
    return log_spaced(first, len(data), count)


def shots(codec: "Codec", image: Image.Image, data: bytes, sizes: Iterable[int]) -> Iterable[Shot]:
    """Decode `data`, a stream of `image`, at each size."""
    original = to_array(image)
    for size in sizes:
        prefix = truncate(data, max_bytes=size)
        described = info(prefix)
        # The picture was encoded from memory, so the default limit on unknown files has no place
        # here.
        decoded = codec.decode(prefix, max_pixels=None)
        quality = psnr(original, to_array(decoded))
        yield Shot(len(prefix), described.bits_per_pixel, described.reached, quality, decoded)


def table(taken: Sequence[Shot]) -> str:
    """The sheet's captions as text."""
    lines = [f"{'bytes':>10}  {'bpp':>6}  {'PSNR':>8}  reached"]
    for shot in taken:
        lines.append(
            f"{shot.size:>10,}  {shot.bits_per_pixel:>6.3f}  {shot.psnr:>5.2f} dB  {shot.reached}"
        )
    return "\n".join(lines)


def contact_sheet(original: Image.Image, taken: Sequence[Shot], credit: str = "") -> Image.Image:
    """The original and every cut's picture in a grid, captioned."""
    title, bold, plain = (ImageFont.load_default(size=size) for size in (34, 24, 19))
    # Small pictures are magnified with their pixels kept sharp: a blur would hide what was decoded.
    scale = _CELL / max(original.size)
    cell = max(1, round(original.width * scale)), max(1, round(original.height * scale))
    resampling = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    column, row = _CELL + _GAP, cell[1] + 74 + _GAP
    rows = ceil_div(len(taken) + 1, COLUMNS)
    head = 118
    sheet = Image.new(
        "RGB", (2 * _MARGIN + COLUMNS * column - _GAP, head + rows * row + _MARGIN), _BACKGROUND
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 6), "One file, cut at several lengths", _INK, title)
    subtitle = "Each picture is decoded from the first bytes of the same stream."
    draw.text((_MARGIN, _MARGIN + 40), subtitle, _QUIET, plain)

    captions = [("original", f"{original.width} x {original.height} pixels")]
    for index, shot in enumerate(taken):
        whole = "whole file, " if index == len(taken) - 1 else "first "
        caption = f"{whole}{shot.size:,} bytes"
        captions.append(
            (
                caption,
                f"{shot.bits_per_pixel:.3f} bpp   {shot.psnr:.2f} dB   {_short(shot.reached)}",
            )
        )
    for index, (image, (first, second)) in enumerate(
        zip([original, *(shot.image for shot in taken)], captions, strict=True)
    ):
        left, top = _MARGIN + index % COLUMNS * column, head + index // COLUMNS * row
        sheet.paste(image.resize(cell, resampling), (left, top))
        draw.text((left, top + cell[1] + 8), first, _INK, bold)
        draw.text((left, top + cell[1] + 40), second, _QUIET, plain)
    if credit:
        draw.text(
            (sheet.width - _MARGIN, sheet.height - _MARGIN + 4), credit, _QUIET, plain, anchor="rm"
        )
    return sheet


def _short(reached: str) -> str:
    """Captions have little room: the hyperlatent is only named while nothing else is there."""
    return reached.removeprefix("hyperlatent + ")
