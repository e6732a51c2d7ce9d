"""Pictures that no camera takes, drawn at random: text, icons, dithers, noise, mosaics,
chessboards, gradients, flat colours.

A codec that has seen only photographs breaks on these. A share of the training crops is drawn
(``TrainSettings.drawn``).
"""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from progcodec.arrays import Array, Pixels

Random: TypeAlias = np.random.Generator
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;()+-=      "


def draw(random: Random, side: int) -> Pixels:
    """One picture of a kind at random, uint8 (side, side, 3)."""
    kinds = list(KINDS.values())
    return kinds[random.integers(len(kinds))](random, side)


def _colour(random: Random) -> tuple[int, ...]:
    """Any, or, as often, one of the eight corners: black, white, pure red…"""
    if random.random() < 0.5:
        return tuple(int(value) for value in random.integers(0, 2, 3) * 255)
    return tuple(int(value) for value in random.integers(0, 256, 3))


def _mixed(random: Random, share: Array) -> Pixels:
    """Two colours, mixed by a share (H, W) in 0..1."""
    first, second = (np.array(_colour(random), float) for _ in range(2))
    mixed: Pixels = np.rint(first + share[..., None] * (second - first)).astype(np.uint8)
    return mixed


def _grid(side: int) -> tuple[Array, Array]:
    y, x = np.mgrid[0:side, 0:side]
    return y, x


def _cell(random: Random, most: int) -> int:
    """Pixels a side of a cell: 1 as often as not, since nothing is harder to learn."""
    return 1 if random.random() < 0.5 else int(random.integers(2, most + 1))


def flat(random: Random, side: int) -> Pixels:
    return np.broadcast_to(np.array(_colour(random), np.uint8), (side, side, 3)).copy()


def gradient(random: Random, side: int) -> Pixels:
    """Linear, in each channel its own way."""
    (y, x), ends = _grid(side), random.uniform(-1, 1, (2, 3)) * 255 / side
    values = random.uniform(0, 255, 3) + y[..., None] * ends[0] + x[..., None] * ends[1]
    pixels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text(random: Random, side: int) -> Pixels:
    image = Image.new("RGB", (side, side), _colour(random))
    pen, size, colour = ImageDraw.Draw(image), int(random.integers(8, 24)), _colour(random)
    for top in range(2, side, size + int(random.integers(1, 6))):
        line = "".join(random.choice(list(LETTERS), side // size * 2))
        pen.text((2, top), line, fill=colour, font=_font(size))
    return np.asarray(image)


def icon(random: Random, side: int) -> Pixels:
    """A few shapes in flat colours, as logos, charts and screens have them."""
    image = Image.new("RGB", (side, side), _colour(random))
    pen = ImageDraw.Draw(image)
    shapes: list[Callable[..., None]] = [pen.rectangle, pen.ellipse, pen.line]
    for _ in range(random.integers(1, 12)):
        left, top, width, height = random.integers(1, side, 4)
        box = [int(v) for v in (left, top, left + width, top + height)]
        shapes[random.integers(len(shapes))](box, fill=_colour(random))
    return np.asarray(image)


def dither(random: Random, side: int) -> Pixels:
    """A slope in two colours, each pixel one or the other."""
    y, x = _grid(side)
    shade = (y * random.uniform(-2, 2) + x * random.uniform(-2, 2)) / side % 1.0
    return _mixed(random, (shade > random.random((side, side))).astype(float))


def code(random: Random, side: int) -> Pixels:
    """Cells of two colours at random, one pixel wide or more."""
    cell = _cell(random, 8)
    cells = random.integers(0, 2, (-(-side // cell),) * 2)
    return _mixed(random, np.kron(cells, np.ones((cell, cell)))[:side, :side])


def chessboard(random: Random, side: int) -> Pixels:
    (y, x), cell = _grid(side), _cell(random, 16)
    return _mixed(random, ((y // cell + x // cell) % 2).astype(float))


def stripes(random: Random, side: int) -> Pixels:
    grid, width = _grid(side), _cell(random, 8)
    return _mixed(random, (grid[random.integers(2)] // width % 2).astype(float))


def noise(random: Random, side: int) -> Pixels:
    values = random.integers(0, 256, (side, side, 3 if random.random() < 0.5 else 1))
    return np.broadcast_to(values, (side, side, 3)).astype(np.uint8)


def mosaic(random: Random, side: int) -> Pixels:
    """What a sensor sees behind its colour filters."""
    y, x = _grid(side)
    waves = np.sin(x / random.uniform(3, 40)) * np.cos(y / random.uniform(3, 40))
    values = (128 + 100 * waves).astype(np.uint8)
    pixels = np.zeros((side, side, 3), np.uint8)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        pixels[row::2, column::2, channel] = values[row::2, column::2]
    return pixels


def patches(random: Random, side: int) -> Pixels:
    """Squares of pure colours."""
    cell = int(random.integers(4, 33))
    cells = random.integers(0, 2, (-(-side // cell), -(-side // cell), 3)) * 255
    return np.kron(cells, np.ones((cell, cell, 1)))[:side, :side].astype(np.uint8)


_ALL: tuple[Callable[[Random, int], Pixels], ...] = (
    flat, gradient, text, icon, dither, code, chessboard, stripes, noise, mosaic, patches,
)  # fmt: skip
KINDS = {kind.__name__: kind for kind in _ALL}
"""What is drawn, by name: a function of a generator and the side in pixels."""
