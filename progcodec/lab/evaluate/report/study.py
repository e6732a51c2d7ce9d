"""What the report shows, as plain values: one :class:`Study` for each classifier. Draws and reads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from progcodec.config import LEVELS
from progcodec.lab.evaluate.kodak import Quoted
from progcodec.lab.evaluate.targets import Delta

BEST, CUT = "best", "cut"
"""The two ways to use a codec: the best setting within the budget, and a file that is cut at the budget."""


class Interval(NamedTuple):
    """A mean over images, and its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """One codec at one budget, over all images.

    Attributes:
        budget: bytes that may be sent.
        bytes: mean bytes that were used, over the images that decoded; None where none did.
        setting: what was chosen for this budget, in words; empty where there is nothing to choose.
        decoded: share of the images that decoded at all, 0 to 1; the others count as no answer.
        accuracy: of each level, 0 to 1.
        wup: mean Wu-Palmer similarity of answer and label, 0 to 1.
        psnr: mean dB over the images that decoded; None where none did.
    """

    budget: int
    bytes: float | None
    setting: str
    decoded: float
    accuracy: Mapping[str, Interval]
    wup: Interval | None = None
    psnr: float | None = None
    ms_ssim: float | None = None


@dataclass(frozen=True)
class Series:
    """One codec in one mode.

    Attributes:
        name: as shown.
        mode: :data:`BEST` or :data:`CUT`.
        kind: "ours", "peer", or "rival": another way to order and quantise over our own transform.
        points: by rising budget.
        bytes_to: level → bytes to reach the target share of clean accuracy; None where no measured budget does.
        spans: level → the interval of that; None for an end that is not reached.
        at_most: levels at which the smallest budget reaches it already.
        encode_s, decode_s: median seconds an image; None where not measured.
    """

    name: str
    mode: str
    kind: str
    points: tuple[Point, ...]
    bytes_to: Mapping[str, float | None] = field(default_factory=dict)
    spans: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    at_most: frozenset[str] = frozenset()
    encode_s: float | None = None
    decode_s: float | None = None

    def at(self, budget: int) -> Point | None:
        return next((point for point in self.points if point.budget == budget), None)


@dataclass(frozen=True)
class Study:
    """All codecs, judged by one classifier.

    Attributes:
        classifier: its name.
        images: how many.
        clean: level → accuracy on the uncompressed images; empty where it was not measured.
        clean_wup: their mean Wu-Palmer similarity.
        series: every codec and mode.
        target: the share of clean accuracy that :attr:`Series.bytes_to` asks for.
        labelled: whether any image has a label; if not, agreement with the answer on the clean image stands for accuracy.
        sees_clean: whether it judged the clean images; if not, our whole files stand for them.
        quoted: curves that others published for these very images.
        deltas: mean distances of every curve from our cuts.
        ends: ours at the end of each level, coarsest first; none where they were not measured.
    """

    classifier: str
    images: int
    clean: Mapping[str, float]
    series: tuple[Series, ...]
    clean_wup: float | None = None
    target: float = 0.9
    labelled: bool = True
    sees_clean: bool = True
    quoted: tuple[Quoted, ...] = ()
    deltas: tuple[Delta, ...] = ()
    ends: tuple[Point, ...] = ()

    @property
    def budgets(self) -> list[int]:
        return sorted({point.budget for series in self.series for point in series.points})

    def of(self, kind: str, mode: str | None = None) -> list[Series]:
        return [
            series for series in self.series if series.kind == kind and mode in (None, series.mode)
        ]

    def shown(self, mode: str) -> list[Series]:
        """Ours and the peers, the peers in this mode. Ours is one file that is cut anywhere, whatever the others do."""
        return [*(self.of("ours", CUT) or self.of("ours")), *self.of("peer", mode)]


@dataclass(frozen=True)
class Facts:
    """What was measured, in words.

    Attributes:
        lines: (term, value) pairs, for a list.
        licence: what may be done with images and weights.
    """

    lines: Sequence[tuple[str, str]]
    licence: str = ""


def level_title(level: str) -> str:
    """A level as a heading: with its count of classes."""
    return (
        f"{level.capitalize()} ({dict(zip(LEVELS, (10, 100, 1000), strict=True))[level]:,} classes)"
    )
