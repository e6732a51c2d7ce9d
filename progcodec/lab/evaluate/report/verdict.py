"""Who wins, in words that follow from the numbers alone. Where a peer wins, that is said first and plainly."""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple, TypeAlias

from progcodec.config import LEVELS
from progcodec.lab.evaluate.report.study import BEST, CUT, Interval, Point, Series, Study

EVEN = 0.01
"""Bytes within 1 % of each other are called level."""

Span: TypeAlias = tuple[float | None, float | None]

AHEAD, BEHIND, OPEN = "ahead", "behind", "open"


class Sentence(NamedTuple):
    """``standing``: ours is "ahead", "behind", or it is "open": level, or nothing to compare."""

    standing: str
    head: str
    """Of which level, and who wins."""
    text: str


def best_to_target(series: Iterable[Series], level: str) -> tuple[Series, float] | None:
    """The codec that needs the fewest bytes to its target at a level, and these bytes; None where none reaches it."""
    found = [(one, needed) for one in series if (needed := one.bytes_to.get(level)) is not None]
    return min(found, key=lambda pair: (pair[1], pair[0].name)) if found else None


def headline(study: Study, mode: str = BEST) -> list[Sentence]:
    """One sentence a level on the bytes that the target takes, ours against the best peer in ``mode``."""
    shown = study.shown(mode)
    own, peers = ([s for s in shown if s.kind == kind] for kind in ("ours", "peer"))
    if not own:
        return [
            Sentence(OPEN, "Ours is missing.", "There is nothing here to compare the peers with.")
        ]
    if not peers:
        return [
            Sentence(
                OPEN,
                "No peer was measured.",
                "Nothing here says whether progcodec is better than another codec.",
            )
        ]
    return [_on_target(study, level, own, peers) for level in LEVELS]


def _on_target(study: Study, level: str, own: list[Series], peers: list[Series]) -> Sentence:
    mine, other = best_to_target(own, level), best_to_target(peers, level)
    goal = f"{100 * study.target:.0f} % of clean accuracy"
    start = f"{level.capitalize()}:"
    if mine is None and other is None:
        return Sentence(
            OPEN, f"{start} nobody wins.", f"No codec reaches {goal} at any measured budget."
        )
    if mine is None:
        assert other is not None
        text = f"progcodec does not reach {goal} at any measured budget; {other[0].name} does with {_size(*other, level)} bytes."
        return Sentence(BEHIND, f"{start} {other[0].name} wins.", text)
    if other is None:
        text = f"It reaches {goal} with {_size(*mine, level)} bytes; no peer does at any measured budget."
        return Sentence(AHEAD, f"{start} progcodec wins.", text)
    numbers = f"progcodec needs {_size(*mine, level)} bytes to reach {goal}, the best peer, {other[0].name}, {_size(*other, level)}"
    if abs(mine[1] / other[1] - 1) <= EVEN:
        return Sentence(OPEN, f"{start} level.", f"{numbers}.")
    doubt = (
        " The intervals overlap."
        if _overlap(mine[0].spans.get(level), other[0].spans.get(level))
        else ""
    )
    if mine[1] < other[1]:
        return Sentence(
            AHEAD,
            f"{start} progcodec wins.",
            f"{numbers}: {other[1] / mine[1]:.2f} times as many.{doubt}",
        )
    text = f"{numbers}: ours is {mine[1] / other[1]:.2f} times as many.{doubt}"
    return Sentence(BEHIND, f"{start} {other[0].name} wins.", text)


def _overlap(first: Span | None, second: Span | None) -> bool:
    """Whether two intervals of bytes share a value; an end that is not reached is infinite."""
    if first is None or second is None:
        return False
    (low, high), (other_low, other_high) = (
        [inf if end is None else end for end in span] for span in (first, second)
    )
    return low <= other_high and other_low <= high


def _size(one: Series, size: float, level: str) -> str:
    return f"at most {size:,.0f}" if level in one.at_most else f"{size:,.0f}"


def at_equal_bytes(study: Study, mode: str = BEST) -> list[Sentence]:
    """Every level at which some peer is more accurate than ours at some budget, with the budgets; and one where PSNR is."""
    shown = study.shown(mode)
    own, peers = ([s for s in shown if s.kind == kind] for kind in ("ours", "peer"))
    if not own or not peers:
        return []
    sentences = []
    for level in LEVELS:
        lost = []
        for budget in study.budgets:
            mine, other = _best(own, budget, level), _best(peers, budget, level)
            if mine and other and other[1].value > mine[1].value:
                doubt = ", within the intervals" if other[1].low <= mine[1].high else ""
                lost.append(
                    f"{budget:,} bytes ({other[0].name} {_percent(other[1])} against {_percent(mine[1])}{doubt})"
                )
        if lost:
            sentences.append(
                Sentence(BEHIND, f"{level.capitalize()}: a peer is ahead", f"at {_listed(lost)}.")
            )
        else:
            text = "No peer is more accurate at any measured budget."
            sentences.append(
                Sentence(AHEAD, f"{level.capitalize()}: progcodec is never behind.", text)
            )
    return [*sentences, *_on_psnr(study, own, peers)]


def _on_psnr(study: Study, own: list[Series], peers: list[Series]) -> list[Sentence]:
    lost, most, where, count = [], 0.0, "", 0
    for budget in study.budgets:
        mine = max((p.psnr for p in _points(own, budget) if p.psnr is not None), default=None)
        others = [
            (value, s.name) for s in peers if (value := _whole_psnr(s.at(budget))) is not None
        ]
        if mine is None or not others:
            continue
        count += 1
        value, name = max(others)
        if value > mine:
            lost.append(f"{budget:,}")
            if value - mine > most:
                most, where = value - mine, f"{name} at {budget:,} bytes"
    if lost:
        text = f"at {_listed(lost)} bytes, by up to {most:.1f} dB ({where})."
        return [Sentence(BEHIND, "PSNR: a peer is ahead", text)]
    return (
        [
            Sentence(
                AHEAD,
                "PSNR: progcodec is never behind.",
                "No peer is ahead at any measured budget.",
            )
        ]
        if count
        else []
    )


def _whole_psnr(point: Point | None) -> float | None:
    """A mean PSNR that is over all images: a mean over the few that decoded is no fair comparison."""
    return point.psnr if point is not None and point.decoded == 1 else None


def _points(series: list[Series], budget: int) -> list[Point]:
    return [point for one in series if (point := one.at(budget)) is not None]


def _best(series: list[Series], budget: int, level: str) -> tuple[Series, Interval] | None:
    found = [
        (one, point.accuracy[level])
        for one in series
        if (point := one.at(budget)) and level in point.accuracy
    ]
    return max(found, key=lambda pair: pair[1].value) if found else None


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} %"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def torn(study: Study) -> list[Sentence]:
    """What a file cut at the budget is worth: the headline of that mode, and who gives no answer at all."""
    if not study.of("peer", CUT):
        return []
    sentences = headline(study, CUT)
    silent = []
    for one in study.of("peer", CUT):
        dead = [point.budget for point in one.points if point.decoded == 0]
        if dead:
            silent.append(f"{one.name} (up to {max(dead):,} bytes)")
    if silent:
        sentences.append(Sentence(OPEN, "No answer for any image:", f"{_listed(silent)}."))
    return sentences
