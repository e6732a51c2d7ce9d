"""The measuring itself: one picture at a time, in any process.

picture ─┬─ peers: reduced ─► file at each setting ─► decoded ─► full size ─┐
         ├─ peers: one file ─► cut at each budget ─► tolerant decoder ──────┼─► PSNR ─► rows
         └─ ours, other orderings: one stream ─► cut ─► decoded ────────────┘     │
                                              rows ◄─ judges ◄─ the best of them ─┘
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from progcodec.config import LEVELS
from progcodec.lab.bench.measuring import timed
from progcodec.lab.evaluate.judges import Judge, LoadedJudge, load_hierarchy
from progcodec.lab.evaluate.metrics import ms_ssim
from progcodec.lab.evaluate.peers import PEERS
from progcodec.lab.evaluate.peers.base import Peer, UndecodableError, reduced, restored
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.plan import CLEAN, CUT_NAMES, Budget, Entry, Plan
from progcodec.lab.evaluate.rows import Key, Row, Unit
from progcodec.metrics import psnr

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec


class Outcome(NamedTuple):
    """What became of a picture in one unit; no picture if nothing was decoded."""

    bytes: int
    picture: Image.Image | None
    encode_s: float | None = None
    decode_s: float | None = None


class Measurer:
    """A plan's codecs and judges, loaded where they are needed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @cached_property
    def _codec(self) -> "Codec":
        from progcodec.codec.codec import Codec

        return Codec.load(self.plan.model, self.plan.device)

    @cached_property
    def _judges(self) -> dict[Judge, LoadedJudge]:
        hierarchy = load_hierarchy(self.plan.hierarchy)
        return {one: LoadedJudge(one, hierarchy, self.plan.device) for one in self.plan.judges}

    def measure(self, picture: Picture, known: Mapping[Key, Row]) -> list[Row]:
        """The rows of a picture that are not known yet, codec by codec."""
        rows = self._clean(picture, known)
        for entry in self.plan.entries:
            rows += self._entry(entry, picture, known)
        return rows

    def _clean(self, picture: Picture, known: Mapping[Key, Row]) -> list[Row]:
        unit, image = Unit(CLEAN, ""), Image.fromarray(picture.pixels)
        outcome = {unit: Outcome(picture.pixels.size, image)}
        judges = [one for one in self.plan.judges if (picture.digest, one.name, unit) not in known]
        rows = [_row(picture, unit, outcome[unit])]
        return [row for one in judges for row in self._judged(one, picture, rows, outcome)]

    def _entry(self, entry: Entry, picture: Picture, known: Mapping[Key, Row]) -> list[Row]:
        outcomes: dict[Unit, Outcome] = {}
        fresh, files = [], []
        groups = [*self.plan.whole(entry), self.plan.cuts(entry)]
        if entry.kind != "peer":  # one stream for all of them
            groups = [[unit for units in groups for unit in units]]
        for units in groups:
            todo, there = self._todo(entry, units, picture, known)
            coded = self.code(entry, picture, todo)
            outcomes |= {unit: outcome for unit, outcome in coded.items() if outcome.picture}
            new = [_row(picture, unit, outcome) for unit, outcome in coded.items()]
            fresh += new
            files += there + new
        chosen = self.plan.judged(entry, picture, files)
        by_unit = {row.unit: row for row in files}
        for judge in self.plan.judges_of(entry):
            todo = [unit for unit in chosen if (picture.digest, judge.name, unit) not in known]
            outcomes |= self.code(entry, picture, [unit for unit in todo if unit not in outcomes])
            rows = [by_unit[unit] for unit in todo]
            fresh += self._judged(judge, picture, rows, outcomes)
        return fresh

    def _todo(
        self, entry: Entry, units: Sequence[Unit], picture: Picture, known: Mapping[Key, Row]
    ) -> tuple[list[Unit], list[Row]]:
        """Units that are to be coded, and the rows of the others, up to a ladder's end."""
        todo, there, most = [], [], self.plan.most(picture)
        for unit in units:
            row = known.get((picture.digest, "", unit))
            # of one that was too large for all budgets, a larger budget may have come since
            if row is None or (not row.decoded and not unit.budget and row.bytes <= most):
                todo.append(unit)
                continue
            there.append(row)
            if entry.kind == "peer" and not unit.budget and row.bytes > most:
                break
        return todo, there

    def code(self, entry: Entry, picture: Picture, units: Sequence[Unit]) -> dict[Unit, Outcome]:
        if entry.kind != "peer":
            return _embedded(entry, self._codec, picture, units) if units else {}
        peer, image = PEERS[entry.key], Image.fromarray(picture.pixels)
        most = self.plan.most(picture)
        by_scale: dict[tuple[bool, float], list[Unit]] = {}
        for unit in units:
            by_scale.setdefault((bool(unit.budget), unit.scale), []).append(unit)
        found: dict[Unit, Outcome] = {}
        for (cut, _), own in by_scale.items():
            found |= _cut(peer, image, own) if cut else _ladder(peer, image, own, most)
        return found

    def _judged(
        self, judge: Judge, picture: Picture, rows: Sequence[Row], outcomes: Mapping[Unit, Outcome]
    ) -> list[Row]:
        """Rows with a judge's answers. Equal pictures are looked at once."""
        if not rows:
            return []
        images: dict[bytes, tuple[Image.Image, float]] = {}
        marks = []
        for row in rows:
            image = outcomes[row.unit].picture
            assert image is not None, "only what decodes is judged"
            marks.append((row, image.tobytes()))
            received = float("inf") if row.codec == CLEAN else float(row.bytes)
            images.setdefault(marks[-1][1], (image, received))
        looked = list(images.values())
        found = self._judges[judge].answers([i for i, _ in looked], [size for _, size in looked])
        said = dict(zip(images, found, strict=True))
        return [
            row._replace(judge=judge.name, **dict(zip(LEVELS, said[mark].tolist(), strict=True)))
            for row, mark in marks
        ]


def _row(picture: Picture, unit: Unit, outcome: Outcome) -> Row:
    decibels = similarity = None
    if outcome.picture is not None:
        pixels = np.asarray(outcome.picture)
        decibels = round(psnr(picture.pixels, pixels), 4)
        if unit.setting in LEVELS and np.isfinite(found := ms_ssim(picture.pixels, pixels)):
            similarity = round(found, 5)
    encode_s, decode_s = (None if s is None else round(s, 5) for s in outcome[2:])
    own = decibels, similarity, encode_s, decode_s
    return Row(picture.digest, picture.name, "", *unit, outcome.bytes, *own)


def _ladder(
    peer: Peer, picture: Image.Image, units: Sequence[Unit], most: float
) -> dict[Unit, Outcome]:
    """Files of one scale, up to the first of more than `most` bytes, which is not decoded."""
    found: dict[Unit, Outcome] = {}
    small = reduced(picture, units[0].scale)
    for unit in units:
        data, encode_s = timed(partial(peer.encode, small, float(unit.setting), unit.scale))
        if len(data) > most:
            found[unit] = Outcome(len(data), None, encode_s)
            break
        decoded, decode_s = timed(partial(peer.decode, data))
        found[unit] = Outcome(len(data), restored(decoded, picture.size), encode_s, decode_s)
    return found


def _cut(peer: Peer, picture: Image.Image, units: Sequence[Unit]) -> dict[Unit, Outcome]:
    data, encode_s = timed(partial(peer.encode_for_cuts, picture))
    found = {}
    for unit in units:
        size = min(Budget.parse(unit.budget).of(picture.width * picture.height), len(data))
        try:
            decode = peer.decode if size == len(data) else peer.decode_cut
            decoded, decode_s = timed(partial(decode, data[:size]))
            if decoded.size != picture.size:
                raise UndecodableError("not even the size is right")
            found[unit] = Outcome(size, decoded, encode_s, decode_s)
        except UndecodableError:
            found[unit] = Outcome(size, None, encode_s)
    return found


def _embedded(
    entry: Entry, codec: "Codec", picture: Picture, units: Sequence[Unit]
) -> dict[Unit, Outcome]:
    from progcodec.lab.evaluate.streams import cut_sizes, open_stream

    ordering, quality = (entry.key, 0) if entry.kind == "ordering" else (None, int(entry.key))
    stream, encode_s = timed(partial(open_stream, ordering, codec, picture.pixels, quality))
    named = stream.ends | dict(zip(CUT_NAMES, cut_sizes(stream), strict=True))
    sizes = [
        min(Budget.parse(unit.budget).of(picture.size), stream.size)
        if unit.budget
        else named[unit.setting]
        for unit in units
    ]
    images, seconds = timed(partial(stream.pictures, sizes))
    return {
        unit: Outcome(size, image, encode_s, seconds / len(units))
        for unit, size, image in zip(units, sizes, images, strict=True)
    }
