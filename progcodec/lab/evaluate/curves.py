"""Rate and distortion: mean curves of whole files, how far apart they lie, and what a cut costs.

Ours has two curves: **level ends**, the prefixes that end with the coarse, the intermediate and the
fine segment; and **cuts**, ten prefixes, evenly spaced in the logarithm of bytes from the end of
the hyperlatent to the whole file. Each picture is cut at the same *fractions* of its own range, not
at the same bytes: then bits are shared between pictures as in the whole files, easy ones getting
few and hard ones many, at every point of the curve.

A mean curve depends on that sharing. JPEG and the published learned codecs share as we do, one
quality for all. JPEG 2000 is run at equal *rates* for all pictures, as is its custom, and that
lifts its mean PSNR: at equal PSNR for all, its mean curve over the Kodak images needs 28 % more
bits. So BD-rates are also given picture by picture, where sharing plays no part.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from progcodec.config import LEVELS
from progcodec.lab.evaluate.metrics import Curve, bd_rate, common_range, efficient, rate_at
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import CUT_NAMES, HYPERLATENT, OURS, Plan, names
from progcodec.lab.evaluate.rows import Row
from progcodec.lab.evaluate.tables import NOTHING, markdown, number
from progcodec.network.quality import step_size

PUBLISHED_FILE = "published_kodak.json"
QUOTED = ("JPEG 2000", "bmshj2018-hyperprior", "mbt2018-mean", "BPG 4:4:4", "VTM (VVC intra)")
KODAK = 24
LOWEST_RATE = 0.049
"""Bits per pixel from which other codecs' curves count; below, thumbnails serve better."""


class Mean(NamedTuple):
    """The mean of one setting over the pictures: of bytes, of bits per pixel, of dB, of MS-SSIM."""

    setting: str
    bytes: float
    bpp: float
    psnr: float
    ms_ssim: float


class Curves:
    """Mean curves of a plan with ``curves``, from its rows.

    Attributes:
        ends, cuts: ours, by rising rate. peers: others at full size, by name. quoted: published
            curves, on Kodak alone.
    """

    def __init__(self, plan: Plan, pictures: Sequence[Picture], rows: Iterable[Row]) -> None:
        self._plan, self.pictures = plan, pictures
        self._rows: dict[tuple[str, str], dict[str, Row]] = {}
        for row in rows:
            if not (row.judge or row.budget) and row.scale == 1 and row.decoded:
                self._rows.setdefault((row.codec, row.setting), {})[row.digest] = row
        self.ends, self.cuts = self.of(OURS, LEVELS), self.of(OURS, CUT_NAMES)
        self.peers = {
            name: [point for point in points(self.of(name)) if point[0] >= LOWEST_RATE]
            for name in names(plan.entries, "peer")
        }
        self.quoted = published() if is_kodak(pictures) else {}

    def of(self, codec: str, settings: Sequence[str] | None = None) -> list[Mean]:
        """Means of the settings that every picture has; of all a codec's settings by default."""
        if settings is None:
            settings = [setting for name, setting in self._rows if name == codec]
        found = []
        for setting in settings:
            own = self._rows.get((codec, setting), {})
            if len(own) < len({picture.digest for picture in self.pictures}):
                continue
            each = [(own[p.digest], p.size) for p in self.pictures]
            table = [(r.bytes, 8 * r.bytes / size, r.psnr, r.ms_ssim or np.nan) for r, size in each]
            found.append(Mean(setting, *map(float, np.mean(np.array(table, float), axis=0))))
        return found

    def text(self) -> str:
        """All tables."""
        parts = []
        if self.ends:
            last = self.ends[-1]
            cuts = [
                [c.setting, f"{c.bytes:,.0f}", f"{c.bpp:.4f}", f"{c.psnr:.2f}"] for c in self.cuts
            ]
            parts = [
                f"The whole file: {last.psnr:.2f} dB at {last.bpp:.4f} bits per pixel.",
                self._remarks(),
                "Level ends, and their rate against other codecs at the same PSNR:",
                self.levels(),
                "BD-rate (PSNR) of our level ends and of our cuts; negative is better:",
                self.bd(),
                "Cuts:",
                markdown(["cut", "bytes", "bpp", "PSNR (dB)"], cuts),
            ]
        if len(self.by_quality()) > 1:
            parts += ["Qualities:", self.qualities()]
        return "\n\n".join(parts)

    def levels(self) -> str:
        head = ["level", "bytes", "bpp", "PSNR (dB)", "MS-SSIM"]
        head += [f"rate against {name}" for name in self.peers]
        lines = [
            [mean.setting, f"{mean.bytes:,.0f}", f"{mean.bpp:.4f}", f"{mean.psnr:.2f}",
             number(mean.ms_ssim, ".4f"), *(_against(mean, curve) for curve in self.peers.values())]
            for mean in self.ends
        ]  # fmt: skip
        return markdown(head, lines)

    def bd(self) -> str:
        """Cuts are the finer measure: between three level ends much is interpolated."""
        head = ["against", "source", "level ends", "over (dB)", "cuts", "over (dB)",
                "cuts, picture by picture: mean", "best", "worst"]  # fmt: skip
        lines = []
        for source, curves in (("measured", self.peers), ("published", self.quoted)):
            for name, curve in curves.items():
                own = self._each(name) if source == "measured" else []
                found = (sum(own) / len(own), min(own), max(own)) if own else (math.nan,) * 3
                cells = [*_bd(curve, points(self.ends)), *_bd(curve, points(self.cuts))]
                lines.append([name, source, *cells, *(number(one, "+.1f", " %") for one in found)])
        return markdown(head, lines)

    def qualities(self) -> str:
        """Each quality, beside cuts of quality 0 and beside the best of all at each PSNR."""
        found = self.by_quality()
        best = efficient([p for pair in found.values() for means in pair for p in points(means)])
        head = ["quality", "step", *(f"{level}: bpp / dB" for level in LEVELS),
                "whole file against quality 0, cut", "cuts against the best of all"]  # fmt: skip
        lines = []
        for quality, (ends, cuts) in found.items():
            cells = [f"{end.bpp:.3f} / {end.psnr:.2f}" for end in ends]
            cells.append(_against(ends[-1], points(self.cuts)) if quality else NOTHING)
            cells.append(_bd(best, points(cuts))[0])
            lines.append([f"{quality:+d}" if quality else "0", f"{step_size(quality):.3f}", *cells])
        return markdown(head, lines)

    def by_quality(self) -> dict[int, tuple[list[Mean], list[Mean]]]:
        """Level ends and cuts at each quality, rising."""
        found = {
            int(entry.key): (self.of(entry.name, LEVELS), self.of(entry.name, CUT_NAMES))
            for entry in self._plan.entries
            if entry.kind == "ours"
        }
        return dict(sorted(found.items()))

    def _each(self, name: str) -> list[float]:
        """BD-rate of our cuts against a codec, for each picture where both share PSNRs."""
        found = []
        for picture in self.pictures:
            curves: dict[str, list[tuple[float, float]]] = {name: [], OURS: []}
            for (codec, setting), rows in self._rows.items():
                row = rows.get(picture.digest)
                cut = codec == OURS and setting in CUT_NAMES
                if row and (cut or codec == name and 8 * row.bytes / picture.size >= LOWEST_RATE):
                    curves[codec].append((row.bytes, row.psnr or 0.0))
            try:
                found.append(bd_rate(curves[name], curves[OURS]))
            except ValueError:
                continue
        return found

    def _remarks(self) -> str:
        """What the hyperlatent takes, and the largest loss of PSNR from a cut to a longer one."""
        (hyper,) = self.of(OURS, [HYPERLATENT])
        shares = [100 * hyper.bytes / end.bytes for end in (self.ends[0], self.ends[-1])]
        falls = [0.0]
        for picture in self.pictures:
            values = [self._rows[OURS, name][picture.digest].psnr or 0.0 for name in CUT_NAMES]
            falls.append(max(np.maximum.accumulate(values) - values))
        return (
            f"The hyperlatent takes {shares[0]:.1f} % of the coarse prefix and {shares[1]:.1f} % "
            f"of the file. From a cut to a longer one PSNR falls by at most {max(falls):.3f} dB."
        )


def points(means: Iterable[Mean]) -> list[tuple[float, float]]:
    """Bits per pixel and PSNR: what :mod:`.metrics` compares."""
    return [(mean.bpp, mean.psnr) for mean in means]


def published() -> dict[str, list[tuple[float, float]]]:
    """Curves on the Kodak images: name → (bits per pixel, RGB PSNR in dB). Quoted, not measured."""
    data: Mapping[str, list[list[float]]] = json.loads(
        (files(__package__) / PUBLISHED_FILE).read_text("utf-8")
    )["curves"]
    return {name: [(rate, value) for rate, value in data[name]] for name in QUOTED}


def is_kodak(pictures: Iterable[Picture]) -> bool:
    """Whether these are the 24 pictures that published curves are means over."""
    found = [re.search(r"kodim(\d\d)", picture.name) for picture in pictures]
    numbers = sorted(int(match[1]) for match in found if match)
    return len(found) == KODAK and numbers == list(range(1, KODAK + 1))


def _bd(reference: Curve, curve: Curve) -> list[str]:
    """BD-rate, and the PSNRs that it is a mean over."""
    try:
        low, high = common_range(reference, curve)
        return [f"{bd_rate(reference, curve):+.1f} %", f"{low:.1f}–{high:.1f}"]
    except ValueError:
        return [NOTHING] * 2


def _against(mean: Mean, curve: Curve) -> str:
    """Rate beside a curve's at the same PSNR; a dash where it has none: nothing is extrapolated."""
    try:
        other = rate_at(curve, mean.psnr)
    except ValueError:
        return NOTHING
    return number(100 * (mean.bpp / other - 1) if not math.isnan(other) else None, "+.1f", " %")
