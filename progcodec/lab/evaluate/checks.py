"""Checked on pictures: longer prefixes look no worse, files are as small as the model says; and what the hyperlatent costs."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from progcodec.bitstream.description import info
from progcodec.codec.codec import Codec
from progcodec.lab.evaluate.sources import Picture
from progcodec.metrics import psnr

CUTS = 40
WORST_FALL_DB = 0.3
FIXED_BYTES = 32
"""Allowed on top of the model's own estimate: the header, the lengths and what it costs to seal four segments."""


class Fall(NamedTuple):
    """The largest loss of PSNR, in dB, from a cut to a longer one; both cuts in bytes."""

    image: str
    fall: float
    shorter: int
    longer: int


class Size(NamedTuple):
    image: str
    bytes: int
    """Of the file without checksums."""
    estimate: float
    """Bytes, as the model's probabilities have it."""

    @property
    def ratio(self) -> float:
        return (self.bytes - FIXED_BYTES) / self.estimate


def falls(codec: Codec, pictures: Iterable[Picture], cuts: int = CUTS) -> list[Fall]:
    """For each picture, the largest fall among ``cuts`` prefixes, evenly spaced in bytes up to the whole file."""
    return [_fall(codec, picture, cuts) for picture in pictures]


def _fall(codec: Codec, picture: Picture, cuts: int) -> Fall:
    data = codec.encode(picture.pixels)
    header = info(data).header_bytes
    best, best_size, worst = float("-inf"), 0, Fall(picture.name, 0.0, len(data), len(data))
    for index in range(1, cuts + 1):
        size = max(header, len(data) * index // cuts)
        value = psnr(picture.pixels, np.asarray(codec.decode(data[:size])))
        # the best of all shorter cuts so far is the one that any fall to this cut is largest from
        if best - value > worst.fall:
            worst = Fall(picture.name, best - value, best_size, size)
        if value > best:
            best, best_size = value, size
    return worst


def sizes(codec: Codec, pictures: Iterable[Picture]) -> list[Size]:
    return [
        Size(
            picture.name,
            len(codec.encode(picture.pixels, checksums=False)),
            codec.estimate_bits(picture.pixels) / 8,
        )
        for picture in pictures
    ]


class Share(NamedTuple):
    """What the hyperlatent's segment has of the whole file, and of the file cut at the coarse level's end."""

    image: str
    file: float
    coarse: float


def shares(codec: Codec, pictures: Iterable[Picture]) -> list[Share]:
    found = []
    for picture in pictures:
        hyperlatent, coarse, *_, last = info(codec.encode(picture.pixels)).segments
        assert coarse.end is not None and last.end is not None, (
            "whole files tell where their segments end"
        )
        found.append(
            Share(picture.name, hyperlatent.received / last.end, hyperlatent.received / coarse.end)
        )
    return found


def shares_report(found: list[Share]) -> str:
    told = [
        f"{np.mean(values):.1%} of {what} ({max(values):.1%} at most)"
        for what, values in (
            ("the file", [one.file for one in found]),
            ("its coarse prefix", [one.coarse for one in found]),
        )
    ]
    return f"The hyperlatent is {' and '.join(told)}, over {len(found)} pictures."


def falls_report(found: list[Fall]) -> str:
    worst = max(found, key=lambda fall: fall.fall)
    verdict = "holds" if worst.fall <= WORST_FALL_DB else "BROKEN"
    where = (
        f" ({worst.image}, from {worst.shorter} to {worst.longer} bytes)" if worst.fall > 0 else ""
    )
    return (
        f"Longer prefixes look no worse: {verdict}. Over {CUTS} cuts of {len(found)} pictures, the worst fall of PSNR "
        f"from a cut to a longer one is {worst.fall:.3f} dB{where}; allowed are {WORST_FALL_DB} dB."
    )


def sizes_report(found: list[Size]) -> str:
    worst = max(found, key=lambda size: size.ratio)
    return (
        f"Files against the model's estimate: (bytes without checksums - {FIXED_BYTES}) / estimate is at most "
        f"{worst.ratio:.5f} over {len(found)} pictures ({worst.image}: {worst.bytes} bytes, estimate "
        f"{worst.estimate:.1f})."
    )
