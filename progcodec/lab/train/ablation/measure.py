"""A trained variant on held-out pictures, in real bytes: header and lengths counted, no
checksums.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from progcodec.classification.classifier import Specification, check_fit
from progcodec.classification.pixel import PixelClassifier
from progcodec.classification.score import predictions
from progcodec.codec.codec import Codec
from progcodec.config import LEVELS
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.pictures import Picture
from progcodec.lab.evaluate.streams import cut_sizes, open_stream
from progcodec.metrics import psnr

BUDGETS = (0.05, 0.1)
"""Bits per pixel at which the coarse answer is asked for."""


@dataclass(frozen=True)
class Measured:
    """Means over the pictures.

    Attributes:
        cuts: (bits per pixel, PSNR) at ten cuts of every file, evenly spaced in the log of bytes,
            shortest first.
        ends: the same at the end of the coarse, intermediate and fine level.
        accuracy: by "classifier, place", a share in [0, 1] of the pictures with labels: at each
            level's end the answer at that level, and the coarse answer at ``BUDGETS``.
    """

    cuts: list[tuple[float, float]]
    ends: list[tuple[float, float]]
    accuracy: dict[str, float]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Measured":
        """Raises ValueError, KeyError or TypeError on anything else."""
        content: dict[str, Any] = json.loads(text)
        pairs = {
            name: [(float(rate), float(value)) for rate, value in content[name]]
            for name in ("cuts", "ends")
        }
        return cls(**pairs, accuracy=dict(content["accuracy"]))


def load_judges(specs: Sequence[str], hierarchy: Hierarchy, device: str) -> list[PixelClassifier]:
    """Classifiers of pictures. Raises ClassifierError, HierarchyError."""
    judges = [PixelClassifier.load(Specification.parse(spec), device) for spec in specs]
    for judge in judges:
        check_fit(judge, hierarchy)
    return judges


def measure(
    checkpoint: str | Path,
    scheme: str,
    samples: Sequence[Picture],
    judges: Sequence[PixelClassifier],
    hierarchy: Hierarchy,
    device: str,
) -> Measured:
    """``scheme``: one of ``evaluate.streams.ORDERINGS``."""
    codec = Codec.load(checkpoint, device)
    cuts, ends = [], []
    right: dict[str, list[bool]] = {}
    for sample in tqdm(samples, desc="measuring", unit="img", disable=None, leave=False):
        stream, pixels = open_stream(scheme, codec, sample.pixels), sample.size
        sizes = list(stream.ends.values())[1:]
        cut, end, budgets = cut_sizes(stream), sizes, [round(bpp * pixels / 8) for bpp in BUDGETS]
        wanted = list(dict.fromkeys([*cut, *end, *budgets]))
        images = [image for image in stream.pictures(wanted) if image is not None]
        decoded = dict(zip(wanted, images, strict=True))  # a header fits into all of them

        def point(
            size: int, sample: Picture = sample, decoded: dict[int, Image.Image] = decoded
        ) -> tuple[float, float]:
            return 8 * size / sample.size, psnr(sample.pixels, np.asarray(decoded[size]))

        cuts.append([point(size) for size in cut])
        ends.append([point(size) for size in end])
        if sample.label is None or not judges:
            continue
        places = [
            (f"{name} at its end", level, size)
            for level, (name, size) in enumerate(zip(LEVELS, sizes, strict=True))
        ]
        places += [
            (f"{LEVELS[0]} at {bpp:g} bpp", 0, size)
            for bpp, size in zip(BUDGETS, budgets, strict=True)
        ]
        truth = (*hierarchy.ancestors(sample.label), sample.label)
        pictures = [decoded[size] for _, _, size in places]
        for judge in judges:
            best = predictions(judge.predict(pictures), hierarchy)
            for row, (place, level, _) in zip(best, places, strict=True):
                right.setdefault(f"{judge.name}, {place}", []).append(
                    bool(row[level] == truth[level])
                )
    return Measured(
        _mean(cuts), _mean(ends), {name: float(np.mean(hits)) for name, hits in right.items()}
    )


def _mean(points: list[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    return [(float(rate), float(value)) for rate, value in np.mean(np.array(points), axis=0)]
