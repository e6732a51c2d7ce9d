"""The measuring itself: one picture at a time, in any process.

picture ─┬─ peer: reduced ─► file at each setting ─► decoded ─► full size ─┐
         ├─ peer: one file ─► cut at each budget ─► tolerant decoder ──────┼─► PSNR, MS-SSIM; every judge ─► rows
         └─ ours, rivals: one file ─► cut at each budget ──────────────────┘
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from progcodec.arrays import Pixels
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.coders.base import Coder, UndecodableError, reduced, restored
from progcodec.lab.evaluate.coders.registry import coder_of
from progcodec.lab.evaluate.contest import LADDER_ROOM, Contest, Unit
from progcodec.lab.evaluate.embedded import Embedded, OfRival, Ours
from progcodec.lab.evaluate.judges import Judge, JudgeName, Opinion, Scale
from progcodec.lab.evaluate.measurements import CLEAN, CUT, LADDER, OURS, Key, Measurement
from progcodec.lab.evaluate.metrics import ms_ssim
from progcodec.lab.evaluate.points import digest
from progcodec.lab.evaluate.workload import Sample
from progcodec.metrics import psnr

T = TypeVar("T")

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec


class Outcome(NamedTuple):
    """What became of a picture in one unit of work; no picture where what was left did not decode."""

    bytes: int
    picture: Image.Image | None
    encode_s: float | None = None
    decode_s: float | None = None


class Bench:
    """A contest's codecs and judges, loaded."""

    def __init__(self, contest: Contest) -> None:
        self.contest = contest
        self._scale = Scale.of(Hierarchy.load(contest.hierarchy))
        self._codec: Codec | None = None
        if contest.model is not None:
            from progcodec.codec import codec

            self._codec = codec.Codec.load(contest.model, contest.device)
        self._embedded: dict[str, Embedded] = {}
        if self._codec is not None:
            self._embedded[OURS] = Ours(self._codec)
            if contest.rivals:
                from progcodec.lab.evaluate.rivals import rivals

                found = [OfRival(rival, self._codec) for rival in rivals(contest.rivals)]
                self._embedded |= {rival.name: rival for rival in found}
        self._most = 0.0
        self._looked: dict[str, tuple[float | None, float | None]] = {}
        self._said: dict[tuple[JudgeName, str], Opinion] = {}
        """Of the picture at hand: the largest file that is decoded; qualities and opinions, by decoded picture."""
        self._judges = {
            name: Judge.load(name, self._scale, contest.device) for name in contest.judges
        }

    def measure(
        self, sample: Sample, known: Mapping[Key, Measurement] = MappingProxyType({})
    ) -> list[Measurement]:
        """The rows of a picture that are not known yet, in the contest's order."""
        todo: dict[tuple[str, str], dict[Unit, list[JudgeName]]] = {}
        for unit, judges in self.contest.missing(sample, known).items():
            todo.setdefault((unit.codec, unit.mode), {})[unit] = judges
        if not todo:
            return []
        self._looked, self._said = {}, {}
        self._most = LADDER_ROOM * max(budget.of(sample) for budget in self.contest.budgets)
        picture = Image.fromarray(sample.pixels)
        clean = {
            name: judge.of_pictures([picture], sample.label)[0]
            for name, judge in self._judges.items()
        }
        rows = []
        for (codec, mode), wanted in todo.items():
            outcomes = self._outcomes(codec, mode, picture, list(wanted))
            rows += self._rows(sample, outcomes, wanted, clean)
        return rows

    def _outcomes(
        self, codec: str, mode: str, picture: Image.Image, units: list[Unit]
    ) -> dict[Unit, Outcome]:
        if mode == CLEAN:
            return {unit: Outcome(3 * picture.width * picture.height, picture) for unit in units}
        if codec in self._embedded:
            return _embedded(self._embedded[codec], picture, units)
        key = next(entrant.peer for entrant in self.contest.entrants if entrant.name == codec)
        assert key is not None  # all that are no peers are embedded streams
        peer = coder_of(key)
        return (
            _ladder(peer, picture, units, self._most)
            if mode == LADDER
            else _cuts(peer, picture, units)
        )

    def _rows(
        self,
        sample: Sample,
        outcomes: dict[Unit, Outcome],
        wanted: dict[Unit, list[JudgeName]],
        clean: dict[JudgeName, Opinion],
    ) -> list[Measurement]:
        pictures = {unit: o.picture for unit, o in outcomes.items() if o.picture is not None}
        marks = {unit: digest(np.asarray(picture)) for unit, picture in pictures.items()}
        for unit, mark in marks.items():
            if mark not in self._looked:
                self._looked[mark] = _quality(sample.pixels, pictures[unit])
        quality = {
            unit: self._looked[marks[unit]] if unit in marks else (None, None) for unit in outcomes
        }
        rows = []
        for name, judge in self._judges.items():
            units = [unit for unit in outcomes if name in wanted[unit]]
            seen = [unit for unit in units if unit in pictures]
            found = self._opinions(
                judge, {marks[unit]: pictures[unit] for unit in seen}, sample.label
            )
            said = {unit: found[marks[unit]] for unit in seen}
            for unit in units:
                rows.append(
                    self._row(
                        sample,
                        unit,
                        outcomes[unit],
                        quality[unit],
                        name,
                        said.get(unit),
                        clean[name],
                    )
                )
        return rows

    def _opinions(
        self, judge: Judge, pictures: dict[str, Image.Image], label: int | None
    ) -> dict[str, Opinion]:
        """By the pictures' digests. Many are the same: JPEG's with and without progression, or cuts between two passes."""
        new = [mark for mark in pictures if (judge.name, mark) not in self._said]
        for mark, opinion in zip(
            new, judge.of_pictures([pictures[mark] for mark in new], label), strict=True
        ):
            self._said[judge.name, mark] = opinion
        return {mark: self._said[judge.name, mark] for mark in pictures}

    def _row(
        self, sample: Sample, unit: Unit, outcome: Outcome, quality: tuple[float | None, float | None], name: JudgeName,
        said: Opinion | None, clean: Opinion,
    ) -> Measurement:  # fmt: skip
        labelled = sample.label is not None
        none = (None, None, None)
        p_coarse, p_intermediate, p_fine = (said.p_true if said else None) or none
        hits: Sequence[bool | None] = (
            none if not labelled else (False,) * 3 if said is None else (said.hit or none)
        )
        hit_coarse, hit_intermediate, hit_fine = hits
        wup = (
            None
            if not labelled or self._scale.similarity is None
            else 0.0
            if said is None
            else said.wup
        )
        coarse, intermediate, fine = (
            said is not None and mine == theirs
            for mine, theirs in zip((said or clean).best, clean.best, strict=True)
        )
        return Measurement(
            sample.name, sample.label, sample.pixels.shape[1], sample.pixels.shape[0],
            unit.codec, unit.weights, unit.mode, unit.setting, unit.scale, unit.budget, unit.budget_bpp,
            outcome.bytes, said is not None, name.name,
            p_coarse, p_intermediate, p_fine, hit_coarse, hit_intermediate, hit_fine, wup, coarse, intermediate, fine,
            *quality, outcome.encode_s, outcome.decode_s, sample.digest, self.contest.mark,
        )  # fmt: skip


def _ladder(
    coder: Coder, picture: Image.Image, units: list[Unit], most: float
) -> dict[Unit, Outcome]:
    """At each scale, up to the first file of more than `most` bytes, which is not decoded."""
    found: dict[Unit, Outcome] = {}
    ended: set[float] = set()
    for unit in units:
        if unit.scale in ended:
            continue
        small = reduced(picture, unit.scale)
        data, encode_s = _timed(partial(coder.encode, small, float(unit.setting), unit.scale))
        if len(data) > most:
            ended.add(unit.scale)
            found[unit] = Outcome(len(data), None, encode_s)
            continue
        decoded, decode_s = _timed(partial(coder.decode, data))
        found[unit] = Outcome(len(data), restored(decoded, picture.size), encode_s, decode_s)
    return found


def _cuts(coder: Coder, picture: Image.Image, units: list[Unit]) -> dict[Unit, Outcome]:
    data, encode_s = _timed(lambda: coder.encode_for_cuts(picture))
    found = {}
    for unit in units:
        size = min(unit.budget or 0, len(data))
        try:
            read = coder.decode if size == len(data) else coder.decode_cut
            decoded, decode_s = _timed(partial(read, data[:size]))
            if decoded.size != picture.size:
                raise UndecodableError("not even the size is right")
            found[unit] = Outcome(size, decoded, encode_s, decode_s)
        except UndecodableError:
            found[unit] = Outcome(size, None, encode_s)
    return found


def _embedded(stream: Embedded, picture: Image.Image, units: list[Unit]) -> dict[Unit, Outcome]:
    data, encode_s = _timed(lambda: stream.encode(picture))
    ends = stream.ends(data)
    sizes = {
        unit: ends[unit.setting] if unit.mode != CUT else min(unit.budget or 0, len(data))
        for unit in units
    }
    lengths = sorted(set(sizes.values()))
    pictures, seconds = _timed(lambda: stream.decode([data[:size] for size in lengths]))
    decoded = dict(zip(lengths, pictures, strict=True))
    each = seconds / len(lengths)
    return {unit: Outcome(size, decoded[size], encode_s, each) for unit, size in sizes.items()}


def _quality(pixels: Pixels, picture: Image.Image) -> tuple[float | None, float | None]:
    """PSNR and MS-SSIM; None without a difference, or where the picture is too small."""
    decoded = np.asarray(picture)
    measured = psnr(pixels, decoded), ms_ssim(pixels, decoded)
    decibels, similarity = (value if np.isfinite(value) else None for value in measured)
    return decibels, similarity


def _timed(action: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start
