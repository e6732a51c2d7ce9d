"""What is to be measured: codecs, budgets, scales, judges."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from progcodec.config import LEVELS
from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.judges import Judge
from progcodec.lab.evaluate.peers import PEERS
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.rows import Row, Unit

CLEAN, OURS = "clean", "progcodec"
SCALES: tuple[float, ...] = (1.0, 0.5, 0.25)
"""By which a sender may reduce a picture before coding it."""
BUDGETS = "100,150,200,300,400,600,800,1200,1600,2400,3200,4800"
"""From less than any other codec's header to a fair picture of 227 pixels a side."""
LADDER_ROOM = 1.25
"""A ladder ends with the first file of more than this many times the largest budget."""
CUT_NAMES = tuple(f"cut {n}" for n in range(10))
"""Prefixes of a file, evenly spaced in log-bytes from the end of the hyperlatent to the whole."""
HYPERLATENT = "hyperlatent"


class Budget(NamedTuple):
    """Bytes allowed, or bits per pixel."""

    amount: float
    per_pixel: bool

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """``400`` or ``0.05bpp``. Raises EvaluationError."""
        found = re.fullmatch(r"\s*(\d+|\d*\.\d+)\s*(bpp)?\s*", text)
        if not found or float(found[1]) <= 0 or not (found[2] or float(found[1]).is_integer()):
            raise EvaluationError(f"{text!r} is no budget: bytes, as 400, or a rate, as 0.05bpp")
        return cls(float(found[1]), bool(found[2]))

    def __str__(self) -> str:
        return f"{self.amount:g}bpp" if self.per_pixel else f"{self.amount:.0f}"

    @property
    def shown(self) -> str:
        return f"{self.amount:g} bpp" if self.per_pixel else f"{self.amount:,.0f}"

    def of(self, pixels: int) -> int:
        """Bytes for a picture of so many pixels."""
        return int(self.amount * pixels / 8 if self.per_pixel else self.amount)


class Entry(NamedTuple):
    """A codec that takes part.

    Attributes:
        name, version: in the rows.
        kind: "peer", "ours" or "ordering". key: the peer's or ordering's, or our quality.
    """

    name: str
    version: str
    kind: str
    key: str


@dataclass(frozen=True)
class Plan:
    """All that decides what is measured, small enough to be sent to every process.

    Attributes:
        entries: codecs. judges: classifiers; none are needed.
        budgets: for cuts, and for what a sender may spend who knows the budget. scales: that this
            sender may use.
        curves: whether ladders run to their end and our files are cut at ten fractions too, for
            rate-distortion curves.
        model: checkpoint of ours; None where it takes no part. hierarchy: file of the groups; None
            is the shipped one.
        device: where networks run.
    """

    entries: tuple[Entry, ...]
    judges: tuple[Judge, ...]
    budgets: tuple[Budget, ...]
    scales: tuple[float, ...]
    curves: bool
    model: str | None
    hierarchy: str | None
    device: str

    def __post_init__(self) -> None:
        if not self.entries:
            raise EvaluationError("nothing is left to measure: no codec takes part")

    def whole(self, entry: Entry) -> Iterator[list[Unit]]:
        """Units of whole files; those in one list rise in bytes."""
        if entry.kind == "peer":
            for scale in self.scales:
                settings = PEERS[entry.key].ladder(scale)
                yield [Unit(*entry[:2], f"{setting:g}", scale) for setting in settings]
        elif entry.kind == "ours":
            cuts = CUT_NAMES if self.curves else ()
            yield [Unit(*entry[:2], setting) for setting in (HYPERLATENT, *LEVELS, *cuts)]

    def cuts(self, entry: Entry) -> list[Unit]:
        """Units of the start of a file, one for each budget."""
        if entry.kind == "peer" and not PEERS[entry.key].progressive:
            return []
        return [Unit(*entry[:2], budget=str(budget)) for budget in self.budgets]

    def most(self, picture: Picture) -> float:
        """Bytes beyond which a ladder's file is of no interest."""
        if self.curves:
            return float("inf")
        return LADDER_ROOM * max(budget.of(picture.size) for budget in self.budgets)

    def judged(self, entry: Entry, picture: Picture, rows: Iterable[Row]) -> list[Unit]:
        """What judges look at: cuts, our level ends, of each scale the best file in a budget."""
        files = [row for row in rows if row.decoded]
        units = [row.unit for row in files if row.budget or row.setting in LEVELS]
        if entry.kind == "peer":
            for scale in self.scales:
                own = [row for row in files if row.scale == scale and not row.budget]
                best = (best_file(own, budget.of(picture.size)) for budget in self.budgets)
                units += [row.unit for row in best if row]
        return list(dict.fromkeys(units))

    def judges_of(self, entry: Entry) -> list[Judge]:
        return [judge for judge in self.judges if judge.only in (None, entry.name)]


def best_file(files: Iterable[Row], room: int) -> Row | None:
    """The file of the highest PSNR within so many bytes: a sender can see that."""
    fitting = [row for row in files if row.decoded and row.bytes <= room]
    return max(fitting, key=lambda row: (row.psnr or 0.0, -row.bytes), default=None)


def parse_budgets(text: str) -> tuple[Budget, ...]:
    """``"100,200"`` or ``"0.02bpp,0.1bpp"``, rising. Raises EvaluationError."""
    return tuple(sorted({Budget.parse(part) for part in text.split(",")}, key=lambda b: b[::-1]))


def parse_qualities(text: str, limit: int) -> list[int]:
    """``"-4..4"``, ``"-4,0,4"`` or both mixed, rising. Raises EvaluationError beyond ±limit."""
    chosen: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*([+-]?\d+)\s*(?:\.\.\s*([+-]?\d+)\s*)?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not -limit <= first <= last <= limit:
            raise EvaluationError(f"{part.strip()!r}: qualities are {-limit} to {limit}, as -4..4")
        chosen.update(range(first, last + 1))
    return sorted(chosen)


def names(entries: Sequence[Entry], kind: str) -> list[str]:
    return [entry.name for entry in entries if entry.kind == kind]
