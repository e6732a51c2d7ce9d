"""From the rows of ``measurements.csv`` to studies: the statistics are :mod:`..summary`'s and :mod:`..targets`'s."""

from collections.abc import Sequence

import numpy as np

from progcodec.config import LEVELS
from progcodec.lab.evaluate import summary as statistics
from progcodec.lab.evaluate.kodak import quoted
from progcodec.lab.evaluate.measurements import CLEAN, LADDER, OURS, Measurement
from progcodec.lab.evaluate.report.study import BEST, CUT, Interval, Point, Series, Study
from progcodec.lab.evaluate.rivals.table import is_rival
from progcodec.lab.evaluate.summary import TARGET, Summary, summarise
from progcodec.lab.evaluate.targets import Delta, Reach, deltas, in_bytes, reaches

SPELLINGS = {
    "plonq": "PLONQ",
    "progdtd": "ProgDTD",
    "efficientpic": "EfficientPIC",
    "tritplanes": "trit-planes",
}


def studies(rows: Sequence[Measurement], seed: int = 0) -> list[Study]:
    """One for each classifier; those first that judge more codecs."""
    summary = summarise(rows, seed)
    reached, differences = reaches(summary, TARGET), deltas(summary)
    pixels = float(
        np.mean(
            [width * height for _, width, height in {(r.digest, r.width, r.height) for r in rows}]
        )
    )
    names = dict.fromkeys(point.classifier for point in summary.points)
    found = [
        _study(
            summary, [reach for reach in reached if reach.classifier == name],
            [delta for delta in differences if delta.classifier == name], name, pixels,
        ) for name in names
    ]  # fmt: skip
    return sorted(found, key=lambda study: -len(study.series))


def _study(
    summary: Summary, reached: list[Reach], differences: list[Delta], classifier: str, pixels: float
) -> Study:
    own = [point for point in summary.points if point.classifier == classifier]
    # a classifier that never sees clean pictures is measured against its answers to our whole files, as targets are
    clean = [p for p in own if p.mode == CLEAN] + [
        p for p in own if (p.codec, p.setting) == (OURS, LEVELS[-1])
    ]
    shares = _shares(clean[0]) if clean else {}
    series = []
    for codec, mode in dict.fromkeys(
        (point.codec, point.mode) for point in own if point.mode in (BEST, CUT)
    ):
        targets = {
            reach.level: reach for reach in reached if (reach.codec, reach.mode) == (codec, mode)
        }
        points = tuple(
            _point(group.point, pixels) for group in summary.main_curve(codec, mode, classifier)
        )
        encode_s, decode_s = _times(own, codec)
        made = Series(
            SPELLINGS.get(codec, codec), mode, _kind(codec), points,
            {level: reach.bytes for level, reach in targets.items()},
            {level: (reach.low, reach.high) for level, reach in targets.items()},
            frozenset(level for level, reach in targets.items() if reach.at_most), encode_s, decode_s,
        )  # fmt: skip
        series.append(made)
    first = own[0]
    ends = {p.setting: _point(p, pixels) for p in own if (p.codec, p.mode) == (OURS, LADDER)}
    return Study(
        classifier, first.images, {level: share.value for level, share in shares.items()}, tuple(series),
        clean[0].wup.value if clean and clean[0].wup else None, TARGET, bool(first.labelled), any(p.mode == CLEAN for p in own),
        quoted(summary.images(), (point.codec for point in summary.points)),
        tuple(delta._replace(codec=SPELLINGS.get(delta.codec, delta.codec)) for delta in differences),
        tuple(ends[level] for level in LEVELS if level in ends),
    )  # fmt: skip


def _kind(codec: str) -> str:
    if codec == OURS:
        return "ours"
    return "rival" if is_rival(codec) else "peer"


def _shares(point: statistics.Point) -> dict[str, Interval]:
    """Accuracy at each level; agreement with the clean answer where no picture has a label."""
    shares = point.accuracy if point.accuracy is not None else point.agreement
    return {level: Interval(*share) for level, share in zip(LEVELS, shares, strict=True)}


def _point(point: statistics.Point, pixels: float) -> Point:
    budget = round(in_bytes(point, pixels))
    setting = ""
    if point.mode == BEST and point.scale:
        setting = "full size" if point.scale == 1 else f"1/{1 / point.scale:g} size"
    wup = Interval(*point.wup) if point.wup else None
    return Point(
        budget, point.bytes, setting, point.answered, _shares(point), wup, point.psnr, point.ms_ssim
    )


def _times(points: Sequence[statistics.Point], codec: str) -> tuple[float | None, float | None]:
    """Of whole files at full size: ours to the last level, a peer's in the middle of its settings."""
    whole = [p for p in points if p.codec == codec and p.mode == LADDER and p.scale == 1]
    whole = [p for p in whole if p.setting == LEVELS[-1]] if codec == OURS else whole
    encode = [p.encode_s for p in whole if p.encode_s is not None]
    decode = [p.decode_s for p in whole if p.decode_s is not None]
    return float(np.median(encode)) if encode else None, float(
        np.median(decode)
    ) if decode else None
