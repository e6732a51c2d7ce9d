"""One picture, cut at several budgets and decoded each time: a contact sheet that shows what
"progressive" means.

original | cut 1 | cut 2        each with its bytes, bits per pixel, level reached, and PSNR
cut 3    | cut 4 | cut 5
cut 6    | cut 7 | whole file
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from progcodec import assets
from progcodec.bitstream.description import info
from progcodec.cut import log_spaced
from progcodec.geometry import ceil_div
from progcodec.image import open_image
from progcodec.viewer.frames import Look

CREDIT = "Photograph: danielbuechele (Flickr), CC BY 2.0"
CUTS = 8
COLUMNS = 3
FIRST_CUT = 64
"""Bytes of the first cut: the header and the first few symbols."""

_CELL, _MARGIN, _GAP = 480, 36, 24  # pixels
_BACKGROUND, _INK, _QUIET = "#ffffff", "#16181d", "#6b7280"


def photograph() -> Image.Image:
    """The picture that comes with the package; ``assets/ATTRIBUTION.txt`` names its author."""
    return open_image(assets.FOLDER / "china.jpg")


def cuts(data: bytes, count: int = CUTS) -> list[int]:
    """Sizes, rising by one factor from a little over the header to the whole stream."""
    first = min(len(data), max(FIRST_CUT, info(data).header_bytes))
    return log_spaced(first, len(data), count)


def table(taken: Sequence[Look]) -> str:
    """The sheet's captions as text."""
    lines = [f"{'bytes':>10}  {'bpp':>6}  {'PSNR':>8}  reached"]
    for look in taken:
        stream, rate = look.stream, f"{look.stream.bits_per_pixel:>6.3f}"
        lines.append(f"{stream.file_bytes:>10,}  {rate}  {look.psnr:>5.2f} dB  {stream.reached}")
    return "\n".join(lines)


def contact_sheet(original: Image.Image, taken: Sequence[Look], credit: str = "") -> Image.Image:
    """The original and every cut's picture in a grid, captioned."""
    title, bold, plain = (ImageFont.load_default(size=size) for size in (34, 24, 19))
    # Small pictures are magnified with their pixels kept sharp: a blur would hide what was decoded.
    scale = _CELL / max(original.size)
    cell = max(1, round(original.width * scale)), max(1, round(original.height * scale))
    resampling = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    column, row = _CELL + _GAP, cell[1] + 74 + _GAP
    rows = ceil_div(len(taken) + 1, COLUMNS)
    head = 118
    size = 2 * _MARGIN + COLUMNS * column - _GAP, head + rows * row + _MARGIN
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 6), "One file, cut at several lengths", _INK, title)
    subtitle = "Each picture is decoded from the first bytes of the same stream."
    draw.text((_MARGIN, _MARGIN + 40), subtitle, _QUIET, plain)

    captions = [("original", f"{original.width} x {original.height} pixels")]
    for look in taken:
        stream, whole = look.stream, "whole file, " if look is taken[-1] else "first "
        # Captions have little room: the hyperlatent is only named while nothing else is there.
        reached = stream.reached.removeprefix("hyperlatent + ")
        numbers = f"{stream.bits_per_pixel:.3f} bpp   {look.psnr:.2f} dB   {reached}"
        captions.append((f"{whole}{stream.file_bytes:,} bytes", numbers))
    pictures = [original, *(look.picture for look in taken)]
    for index, (image, (first, second)) in enumerate(zip(pictures, captions, strict=True)):
        left, top = _MARGIN + index % COLUMNS * column, head + index // COLUMNS * row
        sheet.paste(image.resize(cell, resampling), (left, top))
        draw.text((left, top + cell[1] + 8), first, _INK, bold)
        draw.text((left, top + cell[1] + 40), second, _QUIET, plain)
    if credit:
        corner = sheet.width - _MARGIN, sheet.height - _MARGIN + 4
        draw.text(corner, credit, _QUIET, plain, anchor="rm")
    return sheet
