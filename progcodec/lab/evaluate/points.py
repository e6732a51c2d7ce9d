"""Measured points, their means over a set of pictures, and the CSV files that keep them."""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Pixels
from progcodec.lab.evaluate.metrics import ms_ssim
from progcodec.lab.evaluate.sources import Picture
from progcodec.metrics import psnr


class Point(NamedTuple):
    """One picture, coded at one setting of one codec."""

    curve: str
    setting: str
    image: str
    bytes: int
    pixels: int
    psnr: float
    ms_ssim: float


class Mean(NamedTuple):
    """The mean of one setting's points over the pictures: of bits per pixel, of dB, of MS-SSIM, of bytes."""

    setting: str
    bpp: float
    psnr: float
    ms_ssim: float
    bytes: float


def measure(curve: str, setting: str, picture: Picture, size: int, decoded: Pixels) -> Point:
    """The point of a picture that ``size`` bytes hold, and that decodes to ``decoded``."""
    quality = psnr(picture.pixels, decoded), ms_ssim(picture.pixels, decoded)
    return Point(curve, setting, picture.name, size, picture.size, *quality)


def means(points: Iterable[Point], curve: str) -> list[Mean]:
    """The means of each setting of the named curve, in the order in which the settings first appear."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        if point.curve == curve:
            groups.setdefault(point.setting, []).append(point)
    return [
        Mean(
            setting,
            *(
                float(np.mean(column))
                for column in zip(
                    *((8 * p.bytes / p.pixels, p.psnr, p.ms_ssim, p.bytes) for p in group),
                    strict=True,
                )
            ),
        )
        for setting, group in groups.items()
    ]


def as_curve(averages: Iterable[Mean]) -> list[tuple[float, float]]:
    """Bits per pixel and PSNR: what :mod:`.metrics` compares."""
    return [(mean.bpp, mean.psnr) for mean in averages]


def write_points(path: Path, points: Iterable[Point]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(Point._fields)
        writer.writerows(points)


class Kept:
    """Measurements of other codecs, kept in a CSV file from run to run; in memory only where the path is None.

    The key is what a measurement depends on: the picture's samples, the codec, its setting, its library's version.
    """

    FIELDS = ("digest", "version", *Point._fields)

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[tuple[str, ...], Point] = {}
        if path is not None and path.exists():
            with path.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    self._load(row)

    def _load(self, row: dict[str, str]) -> None:
        try:
            point = Point(
                row["curve"], row["setting"], row["image"], int(row["bytes"]), int(row["pixels"]),
                float(row["psnr"]), float(row["ms_ssim"]),
            )  # fmt: skip
            self._rows[row["digest"], row["version"], point.curve, point.setting] = point
        except (KeyError, TypeError, ValueError):
            pass  # a line torn by an interrupted run: that point is measured again

    def get(self, digest: str, version: str, curve: str, setting: str) -> Point | None:
        return self._rows.get((digest, version, curve, setting))

    def add(self, digest: str, version: str, point: Point) -> None:
        self._rows[digest, version, point.curve, point.setting] = point
        if self._path is None:
            return
        new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(self.FIELDS)
            writer.writerow((digest, version, *point))


def digest(pixels: Pixels) -> str:
    """A name for the samples of a picture, whatever file they came from."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]
