"""The same pictures through every rival, cut at the same bytes: PSNR and, with a classifier, accuracy at each level."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from progcodec.arrays import Floats, Ints
from progcodec.config import LEVELS
from progcodec.errors import EvaluationError
from progcodec.lab.evaluate.rivals import Rival
from progcodec.lab.evaluate.tables import NOTHING, markdown
from progcodec.metrics import psnr

if TYPE_CHECKING:
    from progcodec.codec.codec import Codec
    from progcodec.lab.evaluate.workload import Sample

Predict = Callable[[Sequence[Image.Image]], Floats]
"""Pictures to the likeliest group or class of each level, (N, 3)."""


@dataclass(frozen=True)
class Result:
    """A rival at a budget.

    Attributes:
        budget: bytes of the prefix; None for whole streams.
        bytes: mean of what was there; less than the budget where streams are shorter.
        psnr: mean over the pictures, dB.
        accuracy: share of right answers at each level, coarsest first; None without a classifier or labels.
    """

    rival: str
    budget: int | None
    bytes: float
    psnr: float
    accuracy: tuple[float, ...] | None


def compare(
    codec: "Codec",
    rivals: Iterable[Rival],
    samples: Sequence["Sample"],
    budgets: Sequence[int],
    predict: Predict | None = None,
    truth: Ints | None = None,
) -> Iterable[Result]:
    """Yields each rival's results by rising budget, whole streams last.

    Args:
        predict, truth: a classifier, and the right answers (N, 3), in the order of the samples; both or neither.
    Raises:
        EvaluationError: no pictures, or a classifier that knows a picture of which the label is unknown.
    """
    if not samples:
        raise EvaluationError("there are no pictures to compare on")
    for rival in rivals:
        streams = [rival.encode(codec, sample.pixels) for sample in samples]
        for budget in (*sorted(budgets), None):
            cuts = [stream[:budget] for stream in streams]
            pictures = [rival.decode(codec, cut) for cut in cuts]
            quality = [
                psnr(sample.pixels, np.array(picture))
                for sample, picture in zip(samples, pictures, strict=True)
            ]
            accuracy = None
            if predict is not None and truth is not None:
                right = np.concatenate([predict([picture]) for picture in pictures]) == truth
                accuracy = tuple(float(share) for share in right.mean(axis=0))
            size = sum(map(len, cuts)) / len(cuts)
            yield Result(rival.name, budget, size, float(np.mean(quality)), accuracy)


def psnr_table(results: Sequence[Result]) -> str:
    """Rivals by budgets: mean PSNR in dB; then the bytes of whole streams."""
    head, rows = _grid(results, lambda result: f"{result.psnr:.2f}")
    whole = {result.rival: result.bytes for result in results if result.budget is None}
    return markdown(
        [*head, "whole stream, bytes"], [[*row, f"{whole[row[0]]:,.0f}"] for row in rows]
    )


def accuracy_table(results: Sequence[Result], level: int) -> str:
    """Rivals by budgets: accuracy at a level, in percent."""
    head, rows = _grid(
        results, lambda r: NOTHING if r.accuracy is None else f"{100 * r.accuracy[level]:.0f}"
    )
    return markdown([f"{LEVELS[level]}, %", *head[1:]], rows)


def _grid(
    results: Sequence[Result], cell: Callable[[Result], str]
) -> tuple[list[str], list[list[str]]]:
    budgets = list(dict.fromkeys(result.budget for result in results))
    found = {(result.rival, result.budget): cell(result) for result in results}
    head = ["PSNR (dB) at", *("whole" if budget is None else f"{budget:,} B" for budget in budgets)]
    return head, [
        [name, *(found[name, budget] for budget in budgets)]
        for name in dict.fromkeys(r.rival for r in results)
    ]
