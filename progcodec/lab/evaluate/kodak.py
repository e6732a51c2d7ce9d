"""The Kodak pictures, and what others published about them: quoted beside what is measured on the same pictures.

A published curve is a mean over the 24 pictures at one quality for all, so its bytes differ between pictures; a budget is the
same for all. And it tells PSNR alone. So it stands beside measured PSNR, marked, and enters no comparison in words.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from progcodec.lab.evaluate.peers import published

COUNT, SIDES = 24, (512, 768)
MARK = "†"
"""Behind a name: published, not measured here."""
QUOTED = (
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "cheng2020-anchor",
    "BPG 4:4:4",
    "VTM (VVC intra)",
)
"""Curves of codecs that need weights, or a program, that does not come with this package's extras."""


class Quoted(NamedTuple):
    """A published curve. ``points``: (mean bytes of a picture, mean PSNR in dB), rising."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def shown(self) -> str:
        """The name with the mark."""
        return f"{self.name}{MARK}"

    def at(self, size: float) -> float | None:
        """PSNR at so many bytes, between two published points linear in the logarithm of bytes; None beyond their range."""
        sizes, values = zip(*self.points, strict=True)
        if not sizes[0] <= size <= sizes[-1]:
            return None
        return float(np.interp(np.log(size), np.log(sizes), values))


def is_kodak(names: Iterable[str]) -> bool:
    """Whether these are the names of all 24 pictures, ``kodim01`` to ``kodim24``, and of nothing else."""
    found = [re.search(r"kodim(\d\d)", name) for name in names]
    return all(found) and sorted(int(match[1]) for match in found if match) == list(
        range(1, COUNT + 1)
    )


def quoted(images: Iterable[tuple[str, int, int]], measured: Iterable[str]) -> tuple[Quoted, ...]:
    """What is published of codecs that are not among the measured; nothing unless the images are Kodak's at full size.

    Args:
        images: name, width and height of each. measured: names of codecs.
    """
    images, known = list(images), set(measured)
    if not is_kodak(name for name, _, _ in images) or any(
        tuple(sorted(size)) != SIDES for _, *size in images
    ):
        return ()
    pixels, curves = SIDES[0] * SIDES[1], published()
    return tuple(
        Quoted(name, tuple((rate * pixels / 8, value) for rate, value in sorted(curves[name])))
        for name in QUOTED
        if name not in known
    )
