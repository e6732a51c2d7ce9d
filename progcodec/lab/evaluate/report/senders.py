"""Who fills the pictures at equal bytes: our codec, any peer, and a classifier that answers to what they show."""

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from progcodec.arrays import Floats, Pixels
from progcodec.codec.codec import Codec
from progcodec.errors import BudgetError
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.coders.base import SCALES, Coder, reduced, restored
from progcodec.lab.evaluate.measurements import OURS
from progcodec.lab.evaluate.report.pictures import Answer, Answers, Sender, Shown, Subject
from progcodec.lab.evaluate.workload import Sample
from progcodec.metrics import psnr

if TYPE_CHECKING:
    from progcodec.classification.pixel import PixelClassifier


def ours(codec: Codec) -> Sender:
    """One file, cut at each budget; nothing where the budget does not hold the header."""

    def send(pixels: Pixels, budgets: Sequence[int]) -> list[Shown | None]:
        data = codec.encode(pixels)
        return [_cut(codec, data, budget) for budget in budgets]

    return Sender(OURS, send, ours=True)


def _cut(codec: Codec, data: bytes, budget: int) -> Shown | None:
    try:
        picture = codec.decode(data, max_bytes=budget)
    except BudgetError:
        return None
    return Shown(min(budget, len(data)), np.asarray(picture))


def peer(coder: Coder) -> Sender:
    """The whole file with the highest PSNR, over all settings and downscales, that fits the budget; nothing where none does."""

    def send(pixels: Pixels, budgets: Sequence[int]) -> list[Shown | None]:
        tried = list(_whole_files(coder, Image.fromarray(pixels), max(budgets)))
        quality = [psnr(pixels, shown.pixels) for shown in tried]
        chosen: list[Shown | None] = []
        for budget in budgets:
            fitting = [index for index, shown in enumerate(tried) if shown.bytes <= budget]
            chosen.append(tried[max(fitting, key=quality.__getitem__)] if fitting else None)
        return chosen

    return Sender(coder.name, send)


def _whole_files(coder: Coder, picture: Image.Image, most: int) -> Iterator[Shown]:
    for scale in SCALES:
        small = reduced(picture, scale)
        for setting in coder.ladder(scale):
            data = coder.encode(small, setting, scale)
            if len(data) > most:
                break  # settings rise in bytes: no later one fits either
            words = f"at {setting:g}" if scale == 1 else f"at {setting:g}, 1/{1 / scale:g} size"
            yield Shown(len(data), np.asarray(restored(coder.decode(data), picture.size)), words)


def answers(classifier: "PixelClassifier", hierarchy: Hierarchy) -> Answers:
    """The free argmax of each level, as accuracy is counted."""

    def reply(pictures: Sequence[Pixels], subject: Subject) -> list[list[Answer]]:
        probabilities = classifier.predict([Image.fromarray(pixels) for pixels in pictures])
        levels = range(len(hierarchy.levels) + 1)
        columns = [
            _level(hierarchy, level, hierarchy.aggregate(probabilities, level), subject.index)
            for level in levels
        ]
        return [list(row) for row in zip(*columns, strict=True)]

    return reply


def _level(
    hierarchy: Hierarchy, level: int, probabilities: Floats, truth: int | None
) -> list[Answer]:
    """The answers to all pictures at one level."""
    last = level == len(hierarchy.levels)
    names = [leaf.name for leaf in (hierarchy.classes if last else hierarchy.levels[level])]
    true = None if truth is None else truth if last else int(hierarchy.assignments[level, truth])
    best = probabilities.argmax(axis=-1)
    return [
        Answer(f"{names[index]} {row[index]:.2f}", None if true is None else int(index) == true)
        for index, row in zip(best, probabilities, strict=True)
    ]


def subjects(
    samples: Sequence[Sample], hierarchy: Hierarchy, count: int = 5, seed: int = 0
) -> list[Subject]:
    """``count`` images with a class, drawn by lot: never picked for how they turn out."""
    labelled = [sample for sample in samples if sample.label is not None]
    drawn = sorted(random.Random(seed).sample(range(len(labelled)), min(count, len(labelled))))
    return [
        Subject(
            one.name.rsplit("/", 1)[-1], one.pixels, hierarchy.classes[one.label].name, one.label
        )
        for one in (labelled[index] for index in drawn)
        if one.label is not None
    ]
