"""Pictures unlike photographs, drawn, and how each fares beside JPEG at equal bytes."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from progcodec.arrays import Array, Pixels
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import Plan, best_file
from progcodec.lab.evaluate.rows import Row
from progcodec.lab.evaluate.tables import markdown, number

HEIGHT, WIDTH = 96, 128
PEERS = "jpeg"
FLAT = {
    "teal": (0, 128, 128),
    "magenta": (255, 0, 255),
    "yellow": (255, 255, 0),
    "white": (255,) * 3,
}
SIDES = (16, 64)


def pictures(seed: int = 0) -> list[Picture]:
    """One of each kind."""
    found = _drawn(np.random.default_rng(seed))
    for colour, value in FLAT.items():
        for side in SIDES:
            found[f"{colour}, {side} px"] = np.full((side, side, 3), value, np.uint8)
    return [Picture(name, np.ascontiguousarray(pixels, np.uint8)) for name, pixels in found.items()]


def _drawn(rng: np.random.Generator) -> dict[str, Array]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    base = 128 + 100 * np.sin(x / 17) * np.cos(y / 13)
    bayer = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for down, right, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        bayer[down::2, right::2, colour] = base[down::2, right::2]

    def blocks(side: int, colours: int) -> Array:
        bits = rng.integers(0, 2, (HEIGHT // side, WIDTH // side, colours))
        return 255 * bits.repeat(side, 0).repeat(side, 1)

    return {
        "gradients": np.stack([x * 2, y * 2, (x + y) % 256], 2),
        "text": _text(),
        "halftone": _grey((x + y) * 2.0 % 256 > rng.integers(0, 256, x.shape)),
        "two-dimensional code, 4 px": blocks(4, 1).repeat(3, 2),
        "two-dimensional code, 1 px": blocks(1, 1).repeat(3, 2),
        "chessboard, 1 px": _grey((x + y) % 2),
        "stripes, 1 px": _grey(x % 2),
        "stripes, 2 px": _grey(x // 2 % 2),
        "grey noise": np.repeat(rng.integers(0, 256, (HEIGHT, WIDTH, 1)), 3, 2),
        "colour noise": rng.integers(0, 256, (HEIGHT, WIDTH, 3)),
        "Bayer mosaic": bayer,
        "saturated patches": blocks(8, 3),
        "black": np.zeros((HEIGHT, WIDTH, 3)),
        "red": np.full((HEIGHT, WIDTH, 3), (255, 0, 0)),
    }


def _text() -> Pixels:
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    for line in range(8):
        ImageDraw.Draw(page).text((2, 12 * line), "Lorem ipsum dolor sit 0123", fill="black")
    return np.asarray(page)


def _grey(on: Array) -> Array:
    return np.repeat(255 * np.asarray(on, np.uint8)[..., None], 3, 2)


def table(plan: Plan, shown: Sequence[Picture], rows: Sequence[Row]) -> str:
    """Each kind's whole file, and the best JPEG of as many bytes; "–" where no JPEG is so small."""
    ours = {
        row.digest: row
        for row in rows
        if row.codec == plan.entries[0].name and row.setting == "fine"
    }
    lines = []
    for picture in shown:
        row = ours[picture.digest]
        files = [
            r for r in rows if r.digest == picture.digest and r.codec == "JPEG" and not r.budget
        ]
        other = best_file(files, row.bytes)
        lines.append(
            [picture.name, f"{row.bytes:,}", f"{8 * row.bytes / picture.size:.2f}", _decibels(row),
             _decibels(other)]
        )  # fmt: skip
    return markdown(["whole files", "bytes", "bpp", "PSNR (dB)", "JPEG's at equal bytes"], lines)


def _decibels(row: Row | None) -> str:
    return "–" if row is None else "∞" if row.psnr == float("inf") else number(row.psnr, ".1f")
