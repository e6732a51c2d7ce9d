"""The report's tables, from a study."""

from collections.abc import Callable

from progcodec.config import LEVELS
from progcodec.lab.evaluate.kodak import MARK
from progcodec.lab.evaluate.report.markup import (
    NOTHING,
    Cell,
    count,
    decimal,
    duration,
    percent,
    table,
)
from progcodec.lab.evaluate.report.study import BEST, CUT, Point, Series, Study, level_title
from progcodec.lab.evaluate.report.verdict import best_to_target
from progcodec.lab.evaluate.targets import Delta

MODES = {BEST: "best setting within the budget", CUT: "cut at the budget"}
SHORT = {BEST: "best setting", CUT: "cut"}


def bytes_to_target(study: Study, mode: str) -> str:
    """Bytes to reach the target per level, and in the second line how many times the best peer's they are."""
    shown = study.shown(mode)
    peers = [series for series in shown if series.kind == "peer"]
    rows = [
        (one.name, [_to_target(one, level, peers, shown) for level in LEVELS], one.kind == "ours")
        for one in shown
    ]
    caption = f"Bytes to reach {100 * study.target:.0f} % of clean accuracy (below: 95 % interval; times the best peer's); peers: {MODES[mode]}"
    return table(caption, ["codec", *LEVELS], rows, "Nothing was measured in this mode.")


def _to_target(one: Series, level: str, peers: list[Series], shown: list[Series]) -> Cell:
    value = one.bytes_to.get(level)
    if value is None:
        return Cell("not reached")
    best_peer, best = best_to_target(peers, level), best_to_target(shown, level)
    note = f"{value / best_peer[1]:.2f} ×" if best_peer else ""
    if level in one.spans:
        low, high = (count(end) if end is not None else "?" for end in one.spans[level])
        note = f"{low}–{high}; {note}" if note else f"{low}–{high}"
    text = f"≤ {count(value)}" if level in one.at_most else count(value)
    return Cell(text, note, best is not None and value == best[1])


def budget_table(study: Study, budget: int, mode: str) -> str:
    """Accuracy with intervals, Wu-Palmer similarity, PSNR and what was chosen, of every codec at one budget."""
    at = [(one, point) for one in study.shown(mode) if (point := one.at(budget)) is not None]
    best = {
        level: max((p.accuracy[level].value for _, p in at if level in p.accuracy), default=None)
        for level in LEVELS
    }
    settings = any(point.setting for _, point in at)
    rows = [(one.name, _row(point, best, settings), one.kind == "ours") for one, point in at]
    head = [
        "codec",
        *LEVELS,
        "Wu-Palmer",
        "PSNR",
        "MS-SSIM",
        "bytes sent",
        "decoded",
        *(["setting"] if settings else []),
    ]
    words = f"{budget:,} bytes, {MODES[mode]}"
    return table(words, head, rows, f"{words}: nothing was measured.")


def _row(point: Point, best: dict[str, float | None], setting: bool) -> list[Cell]:
    cells = []
    for level in LEVELS:
        interval = point.accuracy.get(level)
        if interval is None:
            cells.append(Cell(percent(None)))
        else:
            note = f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"
            cells.append(
                Cell(
                    percent(interval.value),
                    note,
                    interval.value == best[level] and interval.value > 0,
                )
            )
    cells.append(Cell(decimal(point.wup.value if point.wup else None, 3)))
    cells += [
        Cell(decimal(point.psnr, 2)),
        Cell(decimal(point.ms_ssim, 4)),
        Cell(count(point.bytes)),
    ]
    cells.append(Cell(f"{100 * point.decoded:.0f} %"))
    return [*cells, Cell(point.setting or NOTHING)] if setting else cells


def psnr(study: Study, mode: str) -> str:
    """Mean PSNR at every budget, where every image decodes; last the published curves, if there are any for these images."""
    rows = []
    for one in study.shown(mode):
        points = [one.at(budget) for budget in study.budgets]
        values = [
            point.psnr if point is not None and point.decoded == 1 else None for point in points
        ]
        rows.append((one.name, [Cell(decimal(value, 2)) for value in values], one.kind == "ours"))
    for curve in study.quoted:
        rows.append(
            (curve.shown, [Cell(decimal(curve.at(budget), 2)) for budget in study.budgets], False)
        )
    note = (
        f"; {MARK} published means over these images, one quality for all: quoted, not measured"
        if study.quoted
        else ""
    )
    caption = f"PSNR (dB) within a budget of bytes, {MODES[mode]}{note}"
    return table(
        caption,
        ["codec", *(f"{budget:,}" for budget in study.budgets)],
        rows,
        "Nothing was measured in this mode.",
    )


def deltas(study: Study) -> str:
    """Mean distance of every curve from our cuts, or from what stands for them: Bjøntegaard's deltas."""
    if not study.deltas:
        return ""
    by_curve: dict[tuple[str, str], list[Delta]] = {}
    for delta in study.deltas:
        by_curve.setdefault((delta.codec, delta.mode), []).append(delta)
    rows = []
    for (codec, mode), own in by_curve.items():
        cells = [
            Cell(NOTHING if d.bd_accuracy is None else f"{100 * d.bd_accuracy:+.1f}") for d in own
        ]
        cells += [Cell(_signed(d.bd_rate)) for d in own]
        rows.append(
            (f"{codec}, {SHORT[mode]}", [*cells, Cell(_signed(own[0].bd_rate_psnr))], False)
        )
    first = study.deltas[0]
    caption = (
        f"Mean distance from {first.reference}, {SHORT[first.reference_mode]}, over the logarithm of bytes: accuracy in percentage "
        "points at equal bytes (more is better), and bytes at equal accuracy and at equal PSNR (fewer is better)"
    )
    head = [
        "codec",
        *(f"BD-accuracy, {d.level}" for d in own),
        *(f"BD-rate, {d.level}" for d in own),
        "BD-rate, PSNR",
    ]
    return table(caption, head, rows)


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.1f} %"


def rivals(study: Study) -> str:
    """What ours and each rival get at equal bytes: one table a level, and one of PSNR; budgets are the columns."""
    shown = [*study.of("ours", CUT), *study.of("rival")]

    def one_table(
        title: str, value: Callable[[Point], float | None], write: Callable[[float | None], str]
    ) -> str:
        at = {budget: [p for one in shown if (p := one.at(budget))] for budget in study.budgets}
        best = {
            budget: max((v for p in points if (v := value(p)) is not None), default=None)
            for budget, points in at.items()
        }

        def cell(point: Point | None, budget: int) -> Cell:
            found = None if point is None else value(point)
            return Cell(write(found), "", bool(found) and found == best[budget])

        rows = [
            (one.name, [cell(one.at(b), b) for b in study.budgets], one.kind == "ours")
            for one in shown
        ]
        return table(title, ["bytes", *(f"{budget:,}" for budget in study.budgets)], rows)

    tables = [one_table(level_title(level), _share(level), percent) for level in LEVELS]
    return "".join(tables) + one_table(
        "PSNR (dB)", lambda point: point.psnr, lambda value: decimal(value, 2)
    )


def _share(level: str) -> Callable[[Point], float | None]:
    return lambda point: point.accuracy[level].value if level in point.accuracy else None


def times(study: Study) -> str:
    """Median seconds an image, each codec once."""
    rows, seen = [], set()
    for one in study.series:
        if (
            one.kind != "rival"
            and one.name not in seen
            and (one.encode_s is not None or one.decode_s is not None)
        ):
            seen.add(one.name)
            rows.append(
                (
                    one.name,
                    [Cell(duration(one.encode_s)), Cell(duration(one.decode_s))],
                    one.kind == "ours",
                )
            )
    return table(
        "Median time for one image", ["codec", "encode", "decode"], rows, "No times were measured."
    )
