"""A trained variant on held-out pictures, in real bytes: header and lengths counted, no
checksums.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from progcodec.codec.codec import Codec
from progcodec.config import LEVELS
from progcodec.errors import TrainingError
from progcodec.files import write_whole
from progcodec.hierarchy.hierarchy import Hierarchy
from progcodec.lab.evaluate.judges import Judge, LoadedJudge
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

    def save(self, path: Path) -> None:
        write_whole(path, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> "Measured | None":
        """None where there is none. Raises TrainingError on anything else."""
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            cuts, ends = (
                [(float(rate), float(value)) for rate, value in content[name]]
                for name in ("cuts", "ends")
            )
            return cls(cuts, ends, dict(content["accuracy"]))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"{path}: no measurement of this program ({type(error).__name__})"
            ) from None


def load_judges(specs: Sequence[str], hierarchy: Hierarchy, device: str) -> dict[str, LoadedJudge]:
    """Classifiers of pictures, by name. Raises ClassifierError, HierarchyError."""
    judges = [Judge.named(spec, hierarchy) for spec in specs]
    return {judge.name: LoadedJudge(judge, hierarchy, device) for judge in judges}


def measure(
    checkpoint: str | Path,
    scheme: str,
    samples: Sequence[Picture],
    judges: dict[str, LoadedJudge],
    hierarchy: Hierarchy,
    device: str,
) -> Measured:
    """``scheme``: one of ``evaluate.streams.ORDERINGS``."""
    codec = Codec.load(checkpoint, device)
    cuts, ends = [], []
    right: dict[str, list[bool]] = {}
    for sample in tqdm(samples, desc="measuring", unit="img", disable=None, leave=False):
        stream = open_stream(scheme, codec, sample.pixels)
        places = {
            f"{name} at its end": (level, stream.ends[name]) for level, name in enumerate(LEVELS)
        }
        for bpp in BUDGETS:
            places[f"{LEVELS[0]} at {bpp:g} bpp"] = 0, round(bpp * sample.size / 8)
        cut = cut_sizes(stream)
        wanted = list(dict.fromkeys([*cut, *(size for _, size in places.values())]))
        images = [image for image in stream.pictures(wanted) if image is not None]
        decoded = dict(zip(wanted, images, strict=True))  # a header fits into all of them
        points = {
            size: (8 * size / sample.size, psnr(sample.pixels, np.asarray(image)))
            for size, image in decoded.items()
        }
        cuts.append([points[size] for size in cut])
        ends.append([points[stream.ends[name]] for name in LEVELS])
        if sample.label is None:
            continue
        truth = (*hierarchy.ancestors(sample.label), sample.label)
        sizes = [size for _, size in places.values()]
        for name, judge in judges.items():
            answers = judge.answers([decoded[size] for size in sizes], sizes)
            for answer, (place, (level, _)) in zip(answers, places.items(), strict=True):
                hit = bool(answer[level] == truth[level])
                right.setdefault(f"{name}, {place}", []).append(hit)
    accuracy = {name: float(np.mean(hits)) for name, hits in right.items()}
    return Measured(_mean(cuts), _mean(ends), accuracy)


def _mean(points: list[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    return [(float(rate), float(value)) for rate, value in np.mean(np.array(points), axis=0)]
