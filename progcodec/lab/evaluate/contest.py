"""Who takes part in a run, and everything that is to be measured on a picture."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from progcodec.config import LEVELS
from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.coders.base import SCALES
from progcodec.lab.evaluate.coders.registry import coder_of
from progcodec.lab.evaluate.judges import JudgeName
from progcodec.lab.evaluate.measurements import CLEAN, CUT, LADDER, OURS, Key, Measurement
from progcodec.lab.evaluate.workload import Sample

Number = TypeVar("Number", int, float)

BUDGETS = (100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800)
"""Default: bytes, from less than any other codec's header to a fair picture of 227 pixels a side."""

LADDER_ROOM = 1.25
"""Of a ladder, files up to this many times the largest budget are measured."""


class Budget(NamedTuple):
    """Bytes allowed, or bits per pixel; exactly one is given."""

    bytes: int | None
    bpp: float | None

    def of(self, sample: Sample) -> int:
        """Bytes for a picture."""
        if self.bytes is not None:
            return self.bytes
        assert self.bpp is not None
        return int(self.bpp * sample.pixels.shape[0] * sample.pixels.shape[1] / 8)


class Unit(NamedTuple):
    """One thing to do with a picture; the fields are those of a measurement."""

    codec: str
    weights: str
    mode: str
    setting: str = ""
    scale: float = 1.0
    budget: int | None = None
    budget_bpp: float | None = None


class Entrant(NamedTuple):
    """A codec that takes part: a peer by its key, or, without one, an embedded stream."""

    name: str
    weights: str
    peer: str | None = None


@dataclass(frozen=True)
class Contest:
    """All that decides what is measured, small enough to be sent to every process.

    Attributes:
        entrants: codecs. judges: classifiers. budgets: for cuts, and for what a clever sender may spend.
        hierarchy: file of the groups; None is the shipped one. mark: their fingerprint.
        model: checkpoint of ours; None where neither ours nor a rival takes part. rivals: their names.
        device: where networks run.
    """

    entrants: tuple[Entrant, ...]
    judges: tuple[JudgeName, ...]
    budgets: tuple[Budget, ...]
    hierarchy: str | None
    mark: str
    model: str | None
    rivals: tuple[str, ...]
    device: str

    def __post_init__(self) -> None:
        if not self.entrants:
            raise EvaluationError("nothing is left to measure: no codec takes part")
        if not self.judges or not self.budgets:
            raise EvaluationError("an evaluation needs a classifier and a budget")

    def units(self, sample: Sample) -> Iterator[Unit]:
        """What is to be measured on a picture, in the order of the rows."""
        yield Unit(CLEAN, "", CLEAN)
        for entrant in self.entrants:
            if entrant.peer is not None:
                for scale in SCALES:
                    for setting in coder_of(entrant.peer).ladder(scale):
                        yield Unit(entrant.name, entrant.weights, LADDER, f"{setting:g}", scale)
            elif entrant.name == OURS:
                for level in LEVELS:
                    yield Unit(entrant.name, entrant.weights, LADDER, level)
            for budget in self.budgets:
                yield Unit(
                    entrant.name, entrant.weights, CUT, "", 1.0, budget.of(sample), budget.bpp
                )

    def missing(
        self, sample: Sample, known: Mapping[Key, Measurement]
    ) -> dict[Unit, list[JudgeName]]:
        """What is yet to be measured on a picture, and for which judges. A ladder ends where files outgrow every budget."""
        most = LADDER_ROOM * max(budget.of(sample) for budget in self.budgets)
        todo: dict[Unit, list[JudgeName]] = {}
        ended: set[tuple[str, float, JudgeName]] = set()
        for unit in self.units(sample):
            for judge in self.judges:
                if (unit.codec, unit.scale, judge) in ended and unit.mode == LADDER:
                    continue
                row = known.get(self.key(sample, unit, judge))
                if row is not None and unit.mode == LADDER and not row.decoded:
                    if row.bytes > most:
                        ended.add((unit.codec, unit.scale, judge))
                    else:
                        row = None  # too large when it was coded; larger budgets have come since
                if row is None:
                    todo.setdefault(unit, []).append(judge)
        return todo

    def key(self, sample: Sample, unit: Unit, judge: JudgeName) -> Key:
        return Key(
            sample.digest, sample.label, unit.codec, unit.weights, unit.mode, unit.setting, unit.scale, unit.budget,
            unit.budget_bpp, judge.name, self.mark,
        )  # fmt: skip


def parse_budgets(text: str | None, bits_per_pixel: str | None) -> tuple[Budget, ...]:
    """``"100,200"`` and ``"0.02,0.1"``; the default bytes if neither is given. Raises EvaluationError."""
    found = [Budget(number, None) for number in _numbers(text, int, "byte budget")]
    found += [Budget(None, number) for number in _numbers(bits_per_pixel, float, "rate")]
    return tuple(dict.fromkeys(found)) or tuple(Budget(size, None) for size in BUDGETS)


def _numbers(text: str | None, kind: Callable[[str], Number], what: str) -> list[Number]:
    numbers: list[Number] = []
    for part in (text or "").split(","):
        if not part.strip():
            continue
        try:
            number = kind(part)
        except ValueError:
            number = 0
        if not 0 < number < float("inf"):
            raise EvaluationError(f"{part.strip()!r} is no {what}")
        numbers.append(number)
    return sorted(numbers)
